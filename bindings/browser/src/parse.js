// Reading a stream (WHATWG HTML 9.2.6).

/**
 * Gives a function that is fed with the text of a stream in pieces. At the end of each block it calls `onBlock(name, text, id)`: `text` is
 * undefined where the block has no data, which still moves the id on. `onRetry` gets what `retry` fields say, in milliseconds.
 *
 * `id` is the last one of the connection before: a block without one leaves it, as browsers have it. A block of more than `maxLength`
 * characters is thrown as a RangeError, before it is held in memory.
 */
export function parser (onBlock, onRetry, id, maxLength) {
  let rest = '' // of a line whose end has not come
  let afterCr = false // a LF that follows belongs to the line end before
  let name
  let text
  let length = 0 // of the block, but for `rest`

  return piece => {
    if (afterCr && piece) {
      piece = piece.replace(/^\n/, '')
      afterCr = false
    }
    const end = /\r\n?|\n/g
    let from = 0
    // What was searched before is not searched again.
    end.lastIndex = rest.length
    piece = rest + piece
    for (let found; (found = end.exec(piece)); from = end.lastIndex) {
      afterCr = found[0] === '\r' && end.lastIndex === piece.length
      line(piece.slice(from, found.index))
    }
    rest = piece.slice(from)
    bound(rest.length)
  }

  function line (line) {
    if (!line) {
      const block = [name || 'message', text, id]
      name = text = undefined
      length = 0
      return onBlock(...block)
    }
    bound(line.length)
    if (line[0] !== ':') length += line.length // comments are not kept
    const [, field, value] = /([^:]*):? ?(.*)/s.exec(line)
    if (field === 'data') text = text?.concat('\n', value) ?? value
    else if (field === 'event') name = value
    else if (field === 'id') {
      if (!value.includes('\0')) id = value
    } else if (field === 'retry' && /^\d+$/.test(value)) onRetry(+value)
  }

  function bound (more) {
    if (length + more > maxLength) throw RangeError(`an event exceeds ${maxLength} characters`)
  }
}
