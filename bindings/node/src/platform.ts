// Packages with the library prebuilt for one platform each, which npm installs where they fit.

/** The package for the platform that this runs on. */
export function platformPackage (): string {
  return `@evstream/${process.platform}-${process.arch}${isMusl() ? '-musl' : ''}`
}

function isMusl (): boolean {
  if (process.platform !== 'linux') return false
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return report.header?.glibcVersionRuntime === undefined
}
