import colors from 'picocolors'

let chapters = 0

export function heading(text: string) {
  chapters += 1
  console.log(`\n${colors.bold(`${chapters}. ${text}`)}`)
}

/** A command, as one would type it. */
export function command(text: string) {
  console.log(`   ${colors.cyan(`$ ${text}`)}`)
}

export function fact(text: string) {
  console.log(`   ${text}`)
}

/** What a command printed. */
export function indented(text: string) {
  const body = text.replace(/^\n+|\s+$/g, '')
  if (body) console.log(colors.dim(body.replace(/^(?=.)/gm, '     ')))
}

/** Prints the claim with a tick if it holds, and throws if it does not. */
export function holds(condition: unknown, claim: string) {
  if (!condition) throw new Error(`This does not hold: ${claim}`)
  console.log(`   ${colors.green('✓')} ${claim}`)
}

export function note(text: string) {
  console.log(text)
}

export function failure(error: unknown) {
  console.error(`\n   ${colors.red('✗')} ${error instanceof Error ? error.message : error}`)
}
