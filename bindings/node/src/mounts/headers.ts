// Headers of a reply beside those that the application has set.

/** Goes through the headers of a reply, names and values in turn, as they are to be set. */
export function eachHeader (
  headers: string[], earlier: (name: string) => unknown, set: (name: string, value: string) => void
): void {
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    const before = earlier(name)
    set(name, before === undefined || before === null ? headers[index + 1]! : merge(name, headers[index + 1]!, String(before)))
  }
}

function merge (name: string, ours: string, earlier: string): string {
  switch (name.toLowerCase()) {
    case 'vary': return unite(earlier, ours)
    // An application that is stricter with caches stays so; what lets them keep a stream does not.
    case 'cache-control': return /\b(no-store|private)\b/i.test(earlier) ? unite(earlier, ours) : ours
    default: return ours
  }
}

/** The words of both lists, each once. */
function unite (...lists: string[]): string {
  const words = new Map<string, string>()
  for (const word of lists.flatMap(list => list.split(','))) {
    const trimmed = word.trim()
    if (trimmed !== '' && !words.has(trimmed.toLowerCase())) words.set(trimmed.toLowerCase(), trimmed)
  }
  return [...words.values()].join(', ')
}
