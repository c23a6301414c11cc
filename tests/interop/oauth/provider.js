// oidc-provider with the clients that a file names, on two origins of one issuer: without and with client certificates.
// usage: node provider.js SETTINGS.json; prints a line of JSON when it serves, and a line for each token request it got.
'use strict';
const fs = require('node:fs');
const https = require('node:https');
const { grants } = require('./grants');
const { load, tap } = require('./wire');

const settings = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const tls = { key: settings.key, cert: settings.certificate, ca: settings.authority };
const certificate = (ctx) => {
  const found = ctx.socket.getPeerX509Certificate?.();
  return found?.raw.length ? found : undefined;
};

// What a resource server of this issuer takes: its scopes, and tokens that live as long as its name says.
function resourceServer(resource) {
  const seconds = Number(/\/(\d+)s$/.exec(resource)?.[1] ?? 300);
  return {
    scope: settings.scopes.join(' '),
    audience: resource,
    accessTokenTTL: seconds,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  };
}

const lifetime = (_, token) => token.resourceServer?.accessTokenTTL ?? 300;

function configuration(issuer, mutual, jwk) {
  return {
    clients: settings.clients,
    scopes: settings.scopes,
    jwks: { keys: [jwk] },
    clientAuthMethods: [
      'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt',
      'tls_client_auth', 'self_signed_tls_client_auth', 'none',
    ],
    enabledJWA: {
      clientAuthSigningAlgValues: settings.algorithms,
      dPoPSigningAlgValues: settings.algorithms.filter((algorithm) => !algorithm.startsWith('HS')),
    },
    discovery: { mtls_endpoint_aliases: { token_endpoint: `${mutual}/token` } },
    rotateRefreshToken: true,
    issueRefreshToken: () => true,
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    cookies: { keys: ['interop'] },
    extraTokenClaims: (_, token) => token.extra,
    ttl: {
      RefreshToken: 3600, Grant: 3600, AuthorizationCode: 60, Interaction: 60, Session: 60, IdToken: 300,
      AccessToken: lifetime, ClientCredentials: lifetime,
    },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        selfSignedTlsClientAuth: true,
        certificateBoundAccessTokens: true,
        getCertificate: certificate,
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_subject_dn' && certificate(ctx).subject === expected,
      },
      // A proof without a nonce is always sent back for one.
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 1), requireNonce: () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => settings.resource,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => resourceServer(resource),
      },
    },
  };
}

// A refresh token as if a user had gone through the consent of this client some time ago.
async function consented(provider, { client: id, account, resource }) {
  const client = await provider.Client.find(id);
  const grant = new provider.Grant({ accountId: account, clientId: id });
  const scope = 'api:read';
  grant.addResourceScope(resource, scope);
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    accountId: account, client, grantId, scope, resource, gty: 'authorization_code', rotations: 0,
  });
  return token.save();
}

async function listening(port, options) {
  const server = https.createServer({ ...tls, ...options });
  await new Promise((done) => server.listen(port, 'localhost', done));
  return server;
}

async function main() {
  const [jose, { Provider, errors }] = await Promise.all([load('jose'), load('oidc-provider')]);
  const signing = await jose.generateKeyPair('RS256', { extractable: true });
  const jwk = { ...(await jose.exportJWK(signing.privateKey)), kid: 'provider', alg: 'RS256', use: 'sig' };
  const plain = await listening(settings.ports.plain);
  // The certificate is judged by the server, not by TLS: it may be self-signed.
  const mutual = await listening(settings.ports.mutual, { requestCert: true, rejectUnauthorized: false });
  const origin = (server) => `https://localhost:${server.address().port}`;
  const issuer = origin(plain);
  const provider = new Provider(issuer, configuration(issuer, origin(mutual), jwk));
  grants({ provider, jose, errors, settings, resourceServer });
  provider.on('server_error', (_, error) => console.error(error));
  for (const server of [plain, mutual]) server.on('request', tap('/token', provider.callback()));
  const refreshTokens = await Promise.all(settings.consents.map((consent) => consented(provider, consent)));
  console.log(JSON.stringify({ issuer, refresh_tokens: refreshTokens }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
