// Grants that oidc-provider has no code for: it is given them here, each with the checks that its RFC asks for.
'use strict';

const TOKEN = 'urn:ietf:params:oauth:token-type:';
const GRANT = 'urn:ietf:params:oauth:grant-type:';

// Registers token exchange (RFC 8693), JWT bearer (RFC 7523) and a grant of a vendor's own.
// `settings.trusted`: the issuers whose JWTs are taken, each with its keys.
function grants({ provider, jose, errors, settings, resourceServer }) {
  const keys = Object.fromEntries(settings.trusted.map(({ issuer, jwks }) => [issuer, jose.createLocalJWKSet(jwks)]));
  const seen = new Set();

  // The claims of a JWT whose issuer is trusted and whose signature is right; for this token endpoint or issuer.
  async function verified(ctx, token) {
    try {
      const { iss } = jose.decodeJwt(token);
      const audience = [provider.issuer, ctx.oidc.urlFor('token')];
      const { payload } = await jose.jwtVerify(token, keys[iss], {
        issuer: iss, audience, requiredClaims: ['sub', 'exp', 'iat'], maxTokenAge: '1h',
      });
      return payload;
    } catch (cause) {
      throw new errors.InvalidGrant('the assertion does not hold', undefined, { cause });
    }
  }

  // A token for `subject`, in answer to a client that was authenticated already.
  async function issue(ctx, subject, { resource = settings.resource, extra = {}, ...answer } = {}) {
    const { client, params } = ctx.oidc;
    const token = new provider.AccessToken({
      accountId: subject, client, grantId: `${client.clientId}:${subject}`, gty: 'interop',
      scope: params.scope, extra,
    });
    token.resourceServer = new provider.ResourceServer(resource, resourceServer(resource));
    ctx.body = { access_token: await token.save(), token_type: 'Bearer', expires_in: token.expiration, ...answer };
  }

  provider.registerGrantType(`${GRANT}token-exchange`, async (ctx) => {
    const { params } = ctx.oidc;
    if (params.subject_token_type !== `${TOKEN}jwt`) throw new errors.InvalidRequest('a JWT is exchanged here');
    if (params.requested_token_type && params.requested_token_type !== `${TOKEN}access_token`) {
      throw new errors.InvalidRequest('access tokens are issued here');
    }
    const subject = await verified(ctx, params.subject_token);
    const extra = {};
    if (params.actor_token) {
      if (params.actor_token_type !== `${TOKEN}jwt`) throw new errors.InvalidRequest('an actor is a JWT here');
      extra.act = { sub: (await verified(ctx, params.actor_token)).sub };
    }
    await issue(ctx, subject.sub, { resource: params.audience, extra, issued_token_type: `${TOKEN}access_token` });
  }, ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'audience', 'resource', 'scope', 'requested_token_type']);

  provider.registerGrantType(`${GRANT}jwt-bearer`, async (ctx) => {
    const payload = await verified(ctx, ctx.oidc.params.assertion);
    if (payload.jti) {
      if (seen.has(payload.jti)) throw new errors.InvalidGrant('the assertion was used before');
      seen.add(payload.jti);
    }
    await issue(ctx, payload.sub);
  }, ['assertion', 'scope']);

  provider.registerGrantType('account_credentials', async (ctx) => {
    const { account_id: account } = ctx.oidc.params;
    if (!account) throw new errors.InvalidRequest('account_id is missing');
    await issue(ctx, account);
  }, ['account_id', 'scope']);

  provider.registerGrantType('password', async (ctx) => {
    const { username, password } = ctx.oidc.params;
    if (settings.passwords[username] !== password) throw new errors.InvalidGrant('no such user');
    await issue(ctx, username);
  }, ['username', 'password', 'scope']);
}

module.exports = { grants };
