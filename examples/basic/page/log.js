// A list of rows, newest first, that does not grow without end.

/** Rows of one kind that a log keeps by default. */
const LIMIT = 100

/** Fills `list` with rows of `template`. Each kind has its own limit, so that a busy kind does not push out a rare one. */
export class Log {
  #list
  #template
  #limit
  #rows = new Map() // kind -> rows, oldest first

  constructor (list, template, { limit = LIMIT } = {}) {
    this.#list = list
    this.#template = template
    this.#limit = limit
  }

  /** Adds a row. `fields` says what text to put into which class of the template; `kind` is there for the style sheet. */
  add (kind, fields) {
    const row = this.#template.content.firstElementChild.cloneNode(true)
    row.dataset.kind = kind
    for (const [name, text] of Object.entries(fields)) row.querySelector(`.${name}`).textContent = text
    const now = new Date()
    const time = row.querySelector('time')
    time.dateTime = now.toISOString()
    time.textContent = timeOfDay(now)
    this.#list.prepend(row)
    this.#keep(kind, row)
  }

  #keep (kind, row) {
    const rows = this.#rows.get(kind) ?? []
    rows.push(row)
    if (rows.length > this.#limit) rows.shift().remove()
    this.#rows.set(kind, rows)
  }
}

/** `17:04:09`, in the reader's own time zone. */
export function timeOfDay (date) {
  return date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
}
