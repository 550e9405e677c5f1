// Tokens that decide who may read what.

import { errorOf, translated } from './errors'
import { NativeJwtClass, type NativeJwt, type NativeJwtOptions } from './native'

/** Which JSON Web Tokens are accepted, and from where. */
export interface JwtOptions {
  /**
   * The key that verifies them, which alone decides on the algorithm: a shared secret of 16 bytes or more (HS256), or an EC P-256
   * (ES256) or RSA key (RS256) as PEM or JSON Web Key. Or several, such as the next one too. Or the address of a set of such keys,
   * `https://...`, which is fetched in the background, every ten minutes, and when a token names a key that it lacks; before the first
   * answer clients are told to come back.
   */
  key: string | readonly string[]
  /** What `iss` must be. */
  issuer?: string
  /** What `aud` must be or hold one of. Without it a token must not have one. */
  audience?: string | readonly string[]
  /** The cookie that has the token, where no `Authorization: Bearer` has. It begins with `__Secure-` or `__Host-`. Default: `__Secure-evstream`. */
  cookie?: string
}

/**
 * Tokens that decide who may read what, without asking the application: give it to a mount as its `channels`.
 *
 * A token comes as `Authorization: Bearer` or in a cookie, never in the query. Its `exp` is required, and ends the stream; `sub` is
 * the user; `{ evstream: { channels: [...] } }` has the channels, of which the client reads those that it names, or all.
 */
export class Jwt {
  // Private, so that whoever logs it shows no key.
  readonly #options: NativeJwtOptions
  readonly #native: NativeJwt

  constructor ({ key, issuer, audience, cookie, ...more }: JwtOptions) {
    const unknown = Object.keys(more)
    if (unknown.length > 0) throw errorOf('invalid-argument', `a Jwt takes key, issuer, audience and cookie, not ${unknown.join(', ')}`)
    this.#options = { keys: texts(key, 'key'), issuer: text(issuer, 'issuer'), audiences: texts(audience ?? [], 'audience'), cookie: text(cookie, 'cookie') }
    this.#native = translated(() => new NativeJwtClass(this.#options))
  }

  /** @internal */
  options (): NativeJwtOptions { return this.#options }

  /** @internal */
  native (): NativeJwt { return this.#native }
}

function texts (given: string | readonly string[], name: string): string[] {
  const list = Array.isArray(given) ? given : [given]
  if (!list.every(one => typeof one === 'string')) throw errorOf('invalid-argument', `the ${name} of a Jwt is a string or a list of them`)
  return [...list]
}

function text (given: string | undefined, name: string): string | undefined {
  if (given !== undefined && typeof given !== 'string') throw errorOf('invalid-argument', `the ${name} of a Jwt is a string`)
  return given
}
