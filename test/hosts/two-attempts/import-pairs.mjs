// Imports every list of modules that it is given, each in the order of the list, and prints those that fail.
import { readFileSync } from 'node:fs'

const failures = []
for (const files of JSON.parse(readFileSync(process.argv[2], 'utf8'))) {
  try {
    for (const file of files) await import(file)
  } catch (error) {
    failures.push(`${files.join(', then ')}: ${error.message}`)
  }
}
console.log(JSON.stringify(failures))
process.exit()
