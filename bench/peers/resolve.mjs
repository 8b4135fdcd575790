// Preloaded by the benchmarks: everything in their processes, the runtime too, loads the packages of bench/peers, and so the newest Graphile
// Worker. They are in a folder of their own, so that the types of bench/ are those of the Graphile Worker that the tests use.
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

const parentURL = new URL('package.json', import.meta.url).href
const { dependencies } = JSON.parse(readFileSync(new URL(parentURL), 'utf8'))

registerHooks({
  resolve: (specifier, context, next) => {
    const [, name = ''] = /^((?:@[^/]+\/)?[^/]+)/.exec(specifier) ?? []
    return next(specifier, Object.hasOwn(dependencies, name) ? { ...context, parentURL } : context)
  },
})
