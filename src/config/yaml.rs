//! From YAML text to a tree with places; the only file that knows the YAML parser.
//!
//! Invariant: it never quotes a line of the file, where a secret might stand, and it ends on every input: size, depth
//! and what aliases multiply are bounded.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, StructureStyle};

use super::diagnostic::{Diagnostic, Place};
use super::expand::join;
use super::node::{Entry, Extent, Flow, Map, Node, Scalar, Style, Value};

/// Bytes of a file.
pub(crate) const MAX_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 32;
/// Nodes of a tree, keys among them, with every alias counted.
pub(crate) const MAX_NODES: usize = 50_000;
/// Bytes of all texts together, with every alias counted: more than a file has, less than a bomb wants.
const MAX_TEXT: usize = 4 * MAX_BYTES;

/// Reads one document. `None` is an empty one. A syntax error ends it; what else is wrong (a key that stands twice, a
/// tag) is reported, and the rest is read.
pub(crate) fn parse(
    text: &str,
    file: &Arc<Path>,
    problems: &mut Vec<Diagnostic>,
) -> Result<Option<Node>, Box<Diagnostic>> {
    if text.len() > MAX_BYTES {
        return Err(Box::new(Diagnostic {
            place: Place::WholeFile(Arc::clone(file)),
            key: String::new(),
            message: "the file is larger than 1 MiB".into(),
            hint: None,
        }));
    }
    let options = granit_parser::options! { disallow_directives: true, flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH };
    Builder::new(text, options, file, problems).document()
}

struct Builder<'t, 'p> {
    events: Parser<'t, granit_parser::StrInput<'t>>,
    text: &'t str,
    file: &'p Arc<Path>,
    problems: &'p mut Vec<Diagnostic>,
    anchors: HashMap<usize, (Node, Weight)>,
    used: Weight,
}

/// What a node costs.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    text: usize,
    depth: usize,
}

type Built<T> = Result<T, Box<Diagnostic>>;

impl<'t, 'p> Builder<'t, 'p> {
    fn new(text: &'t str, options: Options, file: &'p Arc<Path>, problems: &'p mut Vec<Diagnostic>) -> Self {
        let events = Parser::new_from_str_with_options(text, options);
        Self { events, text, file, problems, anchors: HashMap::new(), used: Weight::default() }
    }

    fn document(mut self) -> Built<Option<Node>> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(self.fatal(
                        span,
                        "a second document begins here",
                        "a file holds one document: remove the `---`",
                    ));
                }
                Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, span, "", 0)?.0),
            }
        }
        Ok(root)
    }

    fn next(&mut self) -> Built<Option<(Event<'t>, Span)>> {
        self.events.next().transpose().map_err(|error| Box::new(self.syntax(&error)))
    }

    /// The next node, where one must follow.
    fn following(&mut self, path: &str, depth: usize) -> Built<(Node, Weight)> {
        match self.next()? {
            Some((event, span)) => self.node(event, span, path, depth),
            None => Err(self.fatal(Span::default(), "the file ends in the middle of a value", "")),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, path: &str, depth: usize) -> Built<(Node, Weight)> {
        if event.tag().is_some() {
            self.report(
                span,
                path,
                "a YAML tag (`!…`) has no meaning here",
                "a text that begins with `!` needs quotes",
            );
        }
        let place = self.place(span);
        let (value, anchor, mut weight) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let style = if style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted };
                let weight = Weight { text: text.len(), ..Weight::default() };
                (Value::Scalar(Scalar::written(text, style)), anchor, weight)
            }
            Event::SequenceStart(_, anchor, _) => {
                let (items, weight) = self.list(path, depth)?;
                (Value::List(items), anchor, weight)
            }
            Event::MappingStart(style, anchor, _) => {
                let flow = if style == StructureStyle::Flow { Flow::Braces } else { Flow::Lines };
                let (map, weight) = self.map(flow, path, depth)?;
                (Value::Map(map), anchor, weight)
            }
            Event::Alias(target) => return self.alias(target, span, depth),
            _ => return Err(self.fatal(span, "a value is missing here", "")),
        };
        weight.nodes += 1;
        self.spend(Weight { nodes: 1, text: if weight.depth == 0 { weight.text } else { 0 }, depth }, span)?;
        let node = Node { place, value };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        Ok((node, weight))
    }

    fn list(&mut self, path: &str, depth: usize) -> Built<(Vec<Node>, Weight)> {
        let mut items = Vec::new();
        let mut weight = Weight { depth: 1, ..Weight::default() };
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            let (item, cost) = self.node(event, span, &format!("{path}[{}]", items.len()), depth + 1)?;
            weight.add(cost);
            items.push(item);
        }
        Ok((items, weight))
    }

    fn map(&mut self, flow: Flow, path: &str, depth: usize) -> Built<(Map, Weight)> {
        let mut map = Map { flow, ..Map::default() };
        let mut places: HashMap<String, Place> = HashMap::new();
        let mut weight = Weight { depth: 1, ..Weight::default() };
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let (key, key_cost) = self.node(event, span, path, depth + 1)?;
            let key = self.key(&key, path);
            let below = key.as_deref().map_or_else(|| path.to_owned(), |key| join(path, key));
            let (value, cost) = self.following(&below, depth + 1)?;
            weight.add(key_cost);
            weight.add(cost);
            let Some(key) = key else {
                map.extent = Extent::Gaps;
                continue;
            };
            let place = self.place(span);
            if let Some(first) = places.get(&key) {
                let message = format!("the key stands twice; first at {first}");
                self.problems.push(Diagnostic { place, key: below, message, hint: None });
                continue;
            }
            places.insert(key.clone(), place.clone());
            map.entries.push(Entry { key, place, value });
        }
        Ok((map, weight))
    }

    fn key(&mut self, node: &Node, path: &str) -> Option<String> {
        let problem = match &node.value {
            Value::Scalar(scalar) => match scalar.text().as_str() {
                "<<" => ("merge keys (`<<`) are not supported", "write the keys out"),
                text if text.contains("${") => {
                    ("a key must not hold a variable", "`${…}` is filled in in values only")
                }
                _ if scalar.is_null() => {
                    ("a key is missing before the `:`", "a text that begins with `:` needs quotes")
                }
                _ => return Some(scalar.text()),
            },
            Value::Broken => return None,
            _ => (
                "a key must be a plain word",
                "text in braces needs quotes: \"{…}\"; is a `{{…}}` left from a template?",
            ),
        };
        self.problems.push(Diagnostic {
            place: node.place.clone(),
            key: path.to_owned(),
            message: problem.0.into(),
            hint: Some(problem.1.into()),
        });
        None
    }

    fn alias(&mut self, target: usize, span: Span, depth: usize) -> Built<(Node, Weight)> {
        let Some((node, weight)) = self.anchors.get(&target).cloned() else {
            return Err(self.fatal(span, "an alias stands for something that it is part of", ""));
        };
        self.spend(Weight { depth: depth + weight.depth, ..weight }, span)?;
        Ok((node, weight))
    }

    fn spend(&mut self, cost: Weight, span: Span) -> Built<()> {
        self.used.nodes += cost.nodes;
        self.used.text += cost.text;
        if self.used.nodes > MAX_NODES || self.used.text > MAX_TEXT {
            return Err(self.fatal(span, "the file holds too much, aliases counted", "write fewer aliases"));
        }
        if cost.depth > MAX_DEPTH {
            return Err(self.fatal(span, "this is nested too deeply", ""));
        }
        Ok(())
    }

    fn place(&self, span: Span) -> Place {
        let (line, column) = (span.start.line().max(1), span.start.col() + 1);
        Place::File { path: Arc::clone(self.file), line, column }
    }

    fn report(&mut self, span: Span, path: &str, message: &str, hint: &str) {
        let mut diagnostic = self.fatal(span, message, hint);
        path.clone_into(&mut diagnostic.key);
        self.problems.push(*diagnostic);
    }

    fn fatal(&self, span: Span, message: &str, hint: &str) -> Box<Diagnostic> {
        Box::new(Diagnostic {
            place: self.place(span),
            key: String::new(),
            message: message.into(),
            hint: (!hint.is_empty()).then(|| hint.into()),
        })
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let (message, hint) = explain(error.kind());
        let (line, column) = (error.marker().line().max(1), error.marker().col() + 1);
        let (line, column) = match message {
            TAB => tab_from(self.text, line).unwrap_or((line, column)),
            _ => (line, column),
        };
        let place = Place::File { path: Arc::clone(self.file), line, column };
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Diagnostic { place, key: String::new(), message: format!("not valid YAML: {message}"), hint }
    }
}

impl Weight {
    fn add(&mut self, child: Weight) {
        self.nodes += child.nodes;
        self.text += child.text;
        self.depth = self.depth.max(child.depth + 1);
    }
}

const QUOTE: &str = "a value that begins with `{`, `[`, `*`, `&`, `!`, `|`, `>`, `%`, `@` or a backtick, and one that holds \
     `: ` or ` #`, needs quotes";

const TAB: &str = "a tab stands where only spaces may";

/// The first tab in an indentation from this line on, as line and column: the parser names the value that it was
/// reading when it met the tab, which may stand lines above.
fn tab_from(text: &str, line: usize) -> Option<(usize, usize)> {
    let indented = |row: &str| row.find(|c| c != ' ').filter(|&at| row[at..].starts_with('\t'));
    let mut rows = text.lines().enumerate().skip(line - 1);
    rows.find_map(|(row, text)| Some((row + 1, indented(text)? + 1)))
}

/// Our words for what the parser says: its own may quote the file.
fn explain(kind: &ErrorKind) -> (&'static str, &'static str) {
    match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => (TAB, "indent with spaces"),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::DocumentIndicatorInQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent => ("a quoted text is not closed", "add the missing quote"),
        ErrorKind::UnknownQuotedScalarEscape | ErrorKind::InvalidQuotedScalarHexEscape => (
            "a backslash in a double-quoted text begins an unknown escape",
            "use single quotes, or write `\\\\`",
        ),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            ("something follows the closing quote", "put all of the value into the quotes")
        }
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::MismatchedFlowCollectionEnd { .. }
        | ErrorKind::MisplacedFlowCollectionEnd => {
            ("a `{` or `[` is not closed by its partner, or a comma is missing", QUOTE)
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            ("a `:` stands where no key can end", QUOTE)
        }
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry => (
            "a key or a list item was expected here",
            "keys of one map begin in one column; an address with brackets needs quotes: \"[::]:4080\"",
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            ("a key has no `:` behind it", "write `key: value`; look at the indentation too")
        }
        ErrorKind::UnknownAnchor => {
            ("no anchor has the name of this alias", "a text that begins with `*` needs quotes")
        }
        ErrorKind::MissingAnchorOrAliasName => {
            ("`*` or `&` has no name behind it", "a text that begins with `*` or `&` needs quotes")
        }
        ErrorKind::DirectiveDisallowed => {
            ("a directive (`%…`) has no meaning here", "a text that begins with `%` needs quotes")
        }
        ErrorKind::RecursionLimitExceeded => ("this is nested too deeply", ""),
        ErrorKind::UndeclaredTagHandle => {
            ("a YAML tag (`!…`) is not known", "a text that begins with `!` needs quotes")
        }
        ErrorKind::ExpectedDocumentStart => ("something stands behind the end of the document", QUOTE),
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::BlockEntryInFlowCollection => {
            ("a list item (`- …`) cannot stand here", "begin the list on a line of its own")
        }
        _ => ("a character stands where it cannot", QUOTE),
    }
}

#[cfg(test)]
mod tests;
