export { type FetchHandler, type NodeHandler, toNodeHandler } from './node-handler.js'
