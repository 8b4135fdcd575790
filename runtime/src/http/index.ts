export { type FetchHandler, type NodeHandler, nodeRequestOf, toNodeHandler } from './node-handler.js'
