import { headOf, messageOf, type StoredErrorText } from '../../core/error-text.js'
import { printable } from '../../core/printable.js'
import type { ShownError } from '../queries/attempt.js'
import { Time } from './parts.js'
import { durationText, printableLines } from './text.js'

const MAX_MESSAGE = 4000
const MAX_STACK = 8000

/** How deep causes are shown. */
const MAX_CAUSES = 20

/** An error of a run, with its stack and its causes. */
export function RunError({ error, number, noun = 'Run' }: { error: ShownError; number: number; noun?: string }) {
  const entry = typeof error === 'object' && error !== null ? error : { message: error }
  const at = typeof entry.at === 'string' ? new Date(entry.at) : undefined
  return (
    <article class="error" aria-label={`Error ${number}`}>
      <p class="facts">
        <strong>{`${noun} ${printable(String(entry.number ?? '?'), 20)}`}</strong>
        {at && !Number.isNaN(at.getTime()) && <Time at={at} />}
        {typeof entry.elapsed === 'number' && <span>{`after ${durationText(entry.elapsed * 1000)}`}</span>}
        {typeof entry.worker === 'number' && <span>{`worker ${entry.worker}`}</span>}
      </p>
      {'encrypted' in entry ? <p class="closed">Encrypted</p> : <ErrorTexts error={entry} />}
      {entry.isCut && <p class="note">The error is long. The ends of its texts and its causes are left out.</p>}
    </article>
  )
}

function ErrorTexts({ error }: { error: StoredErrorText }) {
  return (
    <>
      {chainOf(error).map(({ label, error: each }, i) => (
        <div class={i > 0 ? 'cause' : undefined}>
          <p class="message">
            {label && <span class="label">{label}</span>}
            <strong>{printable(headOf(each), 200)}</strong>
            <span class={isExcerpt(messageOf(each)) ? 'lines excerpt' : 'lines'}>
              {printableLines(messageOf(each), MAX_MESSAGE)}
            </span>
          </p>
          <Stack stack={each.stack} isOpen={i === 0} />
        </div>
      ))}
    </>
  )
}

/** Whether a message has lines that must stay aligned, such as Prisma's excerpts of the code. */
function isExcerpt(message: string): boolean {
  return /\n[ \t]*\S/.test(message.trim())
}

function Stack({ stack, isOpen }: { stack: unknown; isOpen: boolean }) {
  const frames = typeof stack === 'string' ? stack.split('\n').filter((line) => /^ +at /.test(line)) : []
  if (frames.length === 0) return null
  return (
    <details open={isOpen}>
      <summary>Stack</summary>
      <pre class="stack">{printableLines(frames.map((line) => line.trim()).join('\n'), MAX_STACK)}</pre>
    </details>
  )
}

interface Link {
  label?: string
  error: StoredErrorText
}

/** An error, its causes, and the errors of an AggregateError, the outermost first. */
function chainOf(error: StoredErrorText): Link[] {
  const chain: Link[] = []
  const rest: Link[] = [{ error }]
  for (let next = rest.shift(); next && chain.length < MAX_CAUSES; next = rest.shift()) {
    chain.push(next)
    const { cause, errors } = next.error
    const inner = Array.isArray(errors)
      ? errors.filter(isObject).map((each) => ({ label: 'One of them: ', error: each }))
      : []
    rest.unshift(...(isObject(cause) ? [{ label: 'Cause: ', error: cause }] : []), ...inner)
  }
  return chain
}

function isObject(value: unknown): value is StoredErrorText {
  return typeof value === 'object' && value !== null
}
