// Plays scenes of a host, one after the other: for each line of its input, `{ "file": …, "args": […] }`, it runs that module as a program.
// A line `end` comes after what a scene has printed. Started with tsx.
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const [node, self] = process.argv
let played = 0
// A scene ends the process when it is done.
let leave = () => {}
process.exit = () => leave()

for await (const line of createInterface({ input: process.stdin })) {
  const { file, args } = JSON.parse(line)
  process.argv = [node, self, ...args]
  const left = new Promise((done) => {
    leave = done
  })
  // Each time another module: what it imports is loaded once.
  const run = import(`${pathToFileURL(resolve(file))}?${++played}`)
  await Promise.race([left, run])
  process.stdout.write('end\n')
}
process.reallyExit()
