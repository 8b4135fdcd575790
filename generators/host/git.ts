import { spawnSync } from 'node:child_process'

/** Those of the paths that git ignores; none without git. */
export function ignoredByGit(root: string, paths: string[]): string[] {
  if (paths.length === 0) return []
  const { stdout } = spawnSync('git', ['check-ignore', '--stdin', '-z'], {
    cwd: root,
    input: paths.join('\0'),
    encoding: 'utf8',
  })
  return (stdout ?? '').split('\0').filter(Boolean)
}
