// The native library: the one built here, or the prebuilt one for this platform, which npm installs where it fits.
//
// Each name is written out, inside a `try` of its own: bundlers and what traces files (Next.js, webpack, esbuild, ncc) follow
// no other calls of `require`, and take these for optional. On Linux both C libraries are tried, because asking Node which one
// it runs on (`process.report`) looks up the names of all its peers.

/** Throws an error that says what to do where there is none. */
export function loadLibrary (): unknown {
  const causes: unknown[] = []
  try { return require('../evstream.node') } catch (cause) {
    if (!isMissing(cause)) throw cause
  }
  const platform = `${process.platform}-${process.arch}`
  switch (platform) {
    case 'darwin-arm64':
      try { return require('@evstream/darwin-arm64') } catch (cause) { causes.push(cause) }
      break
    case 'darwin-x64':
      try { return require('@evstream/darwin-x64') } catch (cause) { causes.push(cause) }
      break
    case 'linux-arm64':
      try { return require('@evstream/linux-arm64') } catch (cause) { causes.push(cause) }
      try { return require('@evstream/linux-arm64-musl') } catch (cause) { causes.push(cause) }
      break
    case 'linux-x64':
      try { return require('@evstream/linux-x64') } catch (cause) { causes.push(cause) }
      try { return require('@evstream/linux-x64-musl') } catch (cause) { causes.push(cause) }
      break
    default:
      throw new Error(`evstream has no native library for ${platform}: it runs on Linux and macOS, on x64 and arm64`)
  }
  throw new Error(
    `evstream cannot load its native library. Either @evstream/${platform} is not installed: npm leaves it out with ` +
    '--omit=optional, or when a lockfile made on another platform does not name it. Or a bundler has not taken the library ' +
    "along: have it leave evstream out, as Next.js does with serverExternalPackages: ['evstream']. Or install evstream from " +
    'its source, with Rust (https://rustup.rs): npm install --install-links <repository>/bindings/node',
    { cause: causes.find(cause => !isMissing(cause)) ?? causes[0] })
}

function isMissing (cause: unknown): boolean {
  return (cause as { code?: unknown }).code === 'MODULE_NOT_FOUND'
}
