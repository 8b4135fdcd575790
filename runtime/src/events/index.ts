export { type AsyncEventsOptions, asyncEvents, type EventsHandler } from './handler.js'
export { type EventsAccess, type EventsSubject, type SignableRow, type SignedIdOptions, signedId } from './signed-id.js'
export type { LiveState, LiveStatus } from './state.js'
