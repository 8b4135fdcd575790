/** Replaces the commands of npm in a text for the user by those of the host's package manager. */
export type InCommands = (text: string) => string

/** Loads what it needs itself, so that `--help` starts fast. */
export async function commandsOfHost(root: string): Promise<InCommands> {
  const { packageManagerOf, withCommandsOf } = await import('../generators/host/package-manager.js')
  const packageManager = await packageManagerOf(root)
  return (text) => withCommandsOf(packageManager, text)
}
