import { jsonLines } from './json-lines.js'
import { printableLines, sizeText } from './text.js'

interface ValueProps {
  label: string
  /** JSON, or its beginning; null if it is not shown. */
  text: string | null
  /** The size of the whole JSON; null if it is too large to be read. */
  bytes: number | null
  /** The name of the encryptor, if the value is encrypted and not shown. */
  encryptedWith?: string | null
}

/** A value from a row, as JSON. */
export function Value({ label, text, bytes, encryptedWith }: ValueProps) {
  if (encryptedWith) return <p class="closed">Encrypted</p>
  if (text === null) return <p class="closed">Too large to show.</p>
  const isCut = bytes !== null && Buffer.byteLength(text) < bytes
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <section class="value" aria-label={label} tabIndex={0}>
        <pre>
          {printableLines(jsonLines(text))}
          {isCut && '…'}
        </pre>
      </section>
      {isCut && <p class="note">{`The first ${sizeText(Buffer.byteLength(text))} of ${sizeText(bytes)}.`}</p>}
    </>
  )
}
