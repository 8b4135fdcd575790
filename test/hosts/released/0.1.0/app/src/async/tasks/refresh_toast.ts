import { refreshToastTask } from '@async-gen/runtime'
import { db } from '../database.js'
import '../toasts.js'

/** Computes one toast that is missing or stale. */
export default refreshToastTask(db)
