import { refreshToastTask } from '@async-gen/runtime'
import { db } from '../database.js'
import '../toasts.js'

export default refreshToastTask(db)
