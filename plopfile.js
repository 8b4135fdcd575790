// node-plop does not read `exports`: it loads `async-gen/plopfile` from a file at this path.
export { default } from './dist/generators/commands/plopfile.js'
