// What the guides import of Next.js, declared as there: the package has more than 100 MB, and its types come with all of it.
declare module 'next/cache' {
  export function refresh(): void
}
declare module 'next/server' {
  export function connection(): Promise<void>
}
declare module 'server-only' {}
