// Renews the parts of a page that are marked, adds a box that chooses all rows of a list, and closes menus. The pages work without it.

export const script = `'use strict'
const PAUSE = 5000
const live = document.getElementById('live')
const parts = () => [...document.querySelectorAll('[data-live]')]

let isOn = sessionStorage.getItem('async-gen:updates') !== 'off'
let timer

function isBusy(part) {
  const selection = getSelection()
  return part.contains(document.activeElement) || part.querySelector('input:checked') || (selection && !selection.isCollapsed && part.contains(selection.anchorNode))
}

/** Keeps what the user has opened. */
function replace(part, next) {
  if (part.innerHTML === next.innerHTML) return
  const open = [...part.querySelectorAll('details')].map((each) => each.open)
  next.querySelectorAll('details').forEach((each, i) => { if (i < open.length) each.open = open[i] })
  part.replaceWith(next)
  prepareBoxes()
}

async function renew() {
  if (!isOn || document.hidden) return
  try {
    const response = await fetch(location.href, { headers: { accept: 'text/html' }, redirect: 'manual' })
    if (response.type === 'opaqueredirect' || response.status === 401 || response.status === 403) return leave()
    if (!response.ok) throw new Error(response.statusText)
    const page = new DOMParser().parseFromString(await response.text(), 'text/html')
    for (const part of parts()) {
      const next = page.getElementById(part.id)
      if (next && !isBusy(part)) replace(part, document.adoptNode(next))
    }
    show('Live')
  } catch {
    show('No answer: trying again')
  }
}

/** The session has ended: what the page shows stays as it was. */
function leave() {
  isOn = false
  start()
  const notice = document.createElement('p')
  notice.className = 'notice problem'
  notice.setAttribute('role', 'alert')
  const link = document.createElement('a')
  link.href = location.href
  link.textContent = 'Reload the page'
  notice.append('You are signed out, so this page is no longer renewed. ', link)
  document.getElementById('main').prepend(notice)
  live.hidden = true
}

function show(text) {
  state.textContent = isOn ? text : 'Paused'
  button.textContent = isOn ? 'Pause updates' : 'Resume updates'
}

function start() {
  clearInterval(timer)
  if (isOn) timer = setInterval(renew, PAUSE)
}

const state = document.createElement('span')
const button = document.createElement('button')
if (live && parts().length > 0) {
  button.type = 'button'
  button.addEventListener('click', () => {
    isOn = !isOn
    sessionStorage.setItem('async-gen:updates', isOn ? 'on' : 'off')
    show('Live')
    start()
    renew()
  })
  live.append(state, ' ', button)
  show('Live')
  start()
  document.addEventListener('visibilitychange', renew)
}

/** The message of the last action is for once: a reload does not show it again. */
const address = new URL(location.href)
if (address.searchParams.has('done')) {
  for (const name of ['done', 'changed', 'unchanged', 'unrecorded']) address.searchParams.delete(name)
  history.replaceState(null, '', address)
}

/** Adds a box that chooses all rows. */
function prepareBoxes() {
  const head = document.querySelector('thead .choose')
  if (!head || head.querySelector('input')) return
  const all = document.createElement('input')
  all.type = 'checkbox'
  all.setAttribute('aria-label', 'Choose all rows of this page')
  all.addEventListener('change', () => {
    for (const box of boxes()) box.checked = all.checked
  })
  head.append(all)
  update()
}

const boxes = () => [...document.querySelectorAll('tbody .choose input')]

function update() {
  const all = document.querySelector('thead .choose input')
  if (!all) return
  const chosen = boxes().filter((box) => box.checked).length
  all.checked = chosen > 0 && chosen === boxes().length
  all.indeterminate = chosen > 0 && chosen < boxes().length
  for (const each of document.querySelectorAll('.actions button')) each.disabled = chosen === 0
  const legend = document.querySelector('.actions legend')
  legend.dataset.noun ??= legend.textContent
  legend.textContent = chosen === 0 ? legend.dataset.noun : chosen + ' chosen'
}

document.addEventListener('change', ({ target }) => {
  if (target.closest('.choose')) update()
})
prepareBoxes()

document.addEventListener('click', ({ target }) => {
  for (const menu of document.querySelectorAll('.menu[open]')) if (!menu.contains(target)) menu.open = false
})
// On a phone, the links to the pages are wider than the screen.
document.querySelector('.bar [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' })

document.addEventListener('keydown', ({ key }) => {
  if (key === 'Escape') for (const menu of document.querySelectorAll('.menu[open]')) menu.open = false
})
`
