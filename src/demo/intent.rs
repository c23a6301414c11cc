//! The bot's understanding: which intent an utterance has, by a table of words.

/// What the bot is sure enough of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Intent {
    /// The name that a bot's author gave it.
    pub(super) slug: &'static str,
    pub(super) description: &'static str,
    /// From 0 to 1: how much of the utterance the known words make up.
    pub(super) confidence: f64,
}

/// Slug, description, words; the first row with the most words wins.
const TABLE: [(&str, &str, &[&str]); 7] = [
    (
        "greetings",
        "Says hello",
        &["hello", "hi", "hey", "morning", "evening", "greetings", "hallo", "bonjour", "hola"],
    ),
    ("goodbye", "Says goodbye", &["bye", "goodbye", "farewell", "later", "ciao", "tschüss"]),
    ("say-thanks", "Says thank you", &["thanks", "thank", "thx", "danke", "merci", "gracias"]),
    (
        "weather",
        "Asks about the weather",
        &["weather", "rain", "raining", "sunny", "snow", "forecast", "umbrella"],
    ),
    ("help", "Asks for help", &["help", "support", "stuck", "lost"]),
    (
        "ask-order-status",
        "Asks where an order is",
        &["order", "orders", "delivery", "parcel", "shipped", "shipment"],
    ),
    ("ask-joke", "Wants a joke", &["joke", "jokes", "laugh", "funny"]),
];

/// The intent of an utterance, or `None`: the real service answers an empty list then.
pub(super) fn of(text: &str) -> Option<Intent> {
    let text = text.to_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut best: Option<(usize, Intent)> = None;
    for (slug, description, known) in TABLE {
        let hits = words.iter().filter(|word| known.contains(word)).count();
        if hits > best.map_or(0, |(most, _)| most) {
            let share = f64::from(u32::try_from(hits).unwrap_or(1))
                / f64::from(u32::try_from(words.len()).unwrap_or(1));
            let confidence = ((0.7 + 0.29 * share) * 100.0).round() / 100.0;
            best = Some((hits, Intent { slug, description, confidence }));
        }
    }
    best.map(|(_, intent)| intent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slug(text: &str) -> Option<&'static str> {
        of(text).map(|intent| intent.slug)
    }

    #[test]
    fn known_words_decide_whatever_their_case_and_punctuation() {
        assert_eq!(slug("Hello!"), Some("greetings"));
        assert_eq!(slug("Will it RAIN today?"), Some("weather"));
        assert_eq!(slug("hi, where is my order, has it shipped"), Some("ask-order-status"));
        assert_eq!(slug("tschüss"), Some("goodbye"));
    }

    #[test]
    fn no_known_word_is_no_intent() {
        for text in ["", "   ", "colourless green ideas", "hellos", "🦀"] {
            assert_eq!(slug(text), None, "{text}");
        }
    }

    #[test]
    fn confidence_is_the_share_of_known_words() {
        assert_eq!(of("hello").unwrap().confidence, 0.99);
        assert!(of("hello there my old friend").unwrap().confidence < 0.8);
    }
}
