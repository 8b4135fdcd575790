// What an application with a login has.
export async function isSignedIn(cookie: string | null): Promise<boolean> {
  return cookie !== null
}
