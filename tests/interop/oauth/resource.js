// A protected resource that believes nothing: signature, issuer, audience, scope and binding of each access token are checked.
// usage: node resource.js SETTINGS.json; prints its origin as one line of JSON.
//
// settings.realms: by the first segment of the path, what a token must be: { issuer, jwks | jwks_uri, audience, scope, bound }.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const https = require('node:https');
const { load } = require('./wire');

const settings = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const thumbprint = (bytes) => crypto.createHash('sha256').update(bytes).digest('base64url');
// A nonce is good for so many proofs; then a new one is asked for.
const NONCE_USES = 5;
const PROOF_SECONDS = 60;

class Refusal extends Error {
  constructor(code, description, scheme = 'Bearer', status = 401) {
    super(description);
    Object.assign(this, { code, scheme, status });
  }
}

// RFC 9449 §4.3: the proof is for this request and this token, made just now, with our nonce, and was never seen.
class Proofs {
  constructor(jose) {
    this.jose = jose;
    this.seen = new Set();
    this.renew();
  }

  renew() {
    this.nonce = crypto.randomBytes(12).toString('base64url');
    this.left = NONCE_USES;
  }

  async check(request, token, jkt) {
    const bad = (description) => new Refusal('invalid_dpop_proof', description, 'DPoP');
    const [proof, more] = values(request, 'dpop');
    if (!proof || more) throw bad('one proof is needed');
    let verified;
    try {
      verified = await this.jose.jwtVerify(proof, this.jose.EmbeddedJWK, { typ: 'dpop+jwt', maxTokenAge: PROOF_SECONDS });
    } catch (cause) {
      throw bad(`the proof does not hold: ${cause.message}`);
    }
    const { payload, protectedHeader } = verified;
    if (payload.nonce !== this.nonce || this.left === 0) {
      if (this.left === 0) this.renew();
      throw new Refusal('use_dpop_nonce', 'the nonce is missing or old', 'DPoP');
    }
    this.left -= 1;
    if (payload.htm !== request.method) throw bad(`htm is ${payload.htm}`);
    const [path] = request.url.split('?');
    if (payload.htu !== `https://${request.headers.host}${path}`) throw bad(`htu is ${payload.htu}`);
    if (payload.ath !== thumbprint(token)) throw bad('ath is of another token');
    if (typeof payload.jti !== 'string' || this.seen.has(payload.jti)) throw bad('the proof was seen before');
    this.seen.add(payload.jti);
    if ((await this.jose.calculateJwkThumbprint(protectedHeader.jwk)) !== jkt) throw bad('the key is not the one of the token');
  }
}

function values(request, name) {
  return request.rawHeaders.filter((_, at, all) => at % 2 === 1 && all[at - 1].toLowerCase() === name);
}

// The claims of the request's token, if all is well.
async function admitted(request, realm, { jose, proofs }) {
  const [authorization, more] = values(request, 'authorization');
  const [, scheme, token] = /^(Bearer|DPoP) (\S+)$/.exec(authorization ?? '') ?? [];
  if (!token || more) throw new Refusal('invalid_request', 'one access token is needed');
  let claims;
  try {
    const { issuer, audience, keys } = realm;
    ({ payload: claims } = await jose.jwtVerify(token, keys, { issuer, audience, requiredClaims: ['exp', 'iat'] }));
  } catch (cause) {
    throw new Refusal('invalid_token', cause.message, scheme);
  }
  const scopes = (claims.scope ?? '').split(' ');
  for (const wanted of realm.scope ?? []) {
    if (!scopes.includes(wanted)) throw new Refusal('insufficient_scope', `the scope ${wanted} is missing`, scheme, 403);
  }
  const { jkt, 'x5t#S256': x5t } = claims.cnf ?? {};
  if ((jkt === undefined) !== (scheme === 'Bearer')) throw new Refusal('invalid_token', `${scheme} does not fit the token`, scheme);
  if (realm.bound === 'dpop' && !jkt) throw new Refusal('invalid_token', 'the token is bound to no key', scheme);
  if (realm.bound === 'certificate' && !x5t) throw new Refusal('invalid_token', 'the token is bound to no certificate', scheme);
  if (jkt) await proofs.check(request, token, jkt);
  if (x5t) {
    const presented = request.socket.getPeerX509Certificate()?.raw;
    if (!presented || thumbprint(presented) !== x5t) throw new Refusal('invalid_token', 'this is not the certificate of the token');
  }
  return claims;
}

function answer(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(`${JSON.stringify(body)}\n`);
}

async function handle(request, response, tools) {
  const [, name] = request.url.split(/[/?]/);
  const realm = tools.realms[name];
  request.resume();
  if (!realm) return answer(response, 404, { error: 'no such realm' });
  const nonce = realm.bound === 'dpop' ? () => ({ 'dpop-nonce': tools.proofs.nonce }) : () => ({});
  try {
    const claims = await admitted(request, realm, tools);
    return answer(response, 200, { claims }, nonce());
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    const { code, message, scheme, status } = refusal;
    const challenge = `${scheme} error="${code}", error_description="${message.replaceAll('"', "'")}"`;
    return answer(response, status, { error: code, error_description: message }, { 'www-authenticate': challenge, ...nonce() });
  }
}

async function main() {
  const jose = await load('jose');
  const realms = Object.fromEntries(Object.entries(settings.realms).map(([name, { jwks, jwks_uri: uri, ...realm }]) => {
    const keys = jwks ? jose.createLocalJWKSet(jwks) : jose.createRemoteJWKSet(new URL(uri));
    return [name, { ...realm, keys }];
  }));
  const tools = { jose, realms, proofs: new Proofs(jose) };
  const { key, certificate: cert } = settings;
  const server = https.createServer({ key, cert, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    handle(request, response, tools).catch((error) => {
      console.error(error);
      answer(response, 500, { error: 'server_error' });
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  console.log(JSON.stringify({ url: `https://localhost:${server.address().port}` }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
