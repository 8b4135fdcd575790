/** Loads a package of bench/peers, where `npm run bench` has installed it: peers/resolve.mjs finds it there. */
// biome-ignore lint/suspicious/noExplicitAny: peers are not installed when types are checked
export async function peer(name: string): Promise<any> {
  return await import(name)
}
