/** Whether a function of the host has returned a Response. Judged by its shape, because a framework may have a class of its own. */
export function isResponse(answer: unknown): answer is Response {
  return typeof answer === 'object' && answer !== null && 'status' in answer && 'headers' in answer
}

/**
 * Whether the answer of an `authorize` is an object with rights. Other values, such as a name or the rows of a query, are a mistake that must
 * not let anybody in.
 */
export function isRights<Rights extends object>(answer: Rights | boolean | null | undefined): answer is Rights {
  return typeof answer === 'object' && answer !== null && !Array.isArray(answer)
}
