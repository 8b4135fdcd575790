export const styles = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
`
