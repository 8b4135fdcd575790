export type { DashboardAction, DashboardActionName } from './actions/action.js'
export { asyncDashboard, type DashboardHandler } from './dashboard.js'
export type { DashboardConnection, DashboardOptions, DashboardRole } from './options.js'
