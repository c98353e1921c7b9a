// The routes of the compatibility matrix on Hono, behind its own adapter for Lambda.

import { Hono } from 'hono'
import { handle } from 'hono/aws-lambda'
import { getCookie, setCookie } from 'hono/cookie'

const octets = { 'content-type': 'application/octet-stream' }
const app = new Hono()

app.get('/query', (context) => context.json(context.req.queries()))

app.get('/cookies', (context) => {
  setCookie(context, 'first', '1')
  setCookie(context, 'second', '2')
  return context.json(getCookie(context))
})

app.post('/json', async (context) => context.json(await context.req.json()))

app.post('/form', async (context) => {
  const fields = Object.entries(await context.req.parseBody({ all: true }))
  return context.json(Object.fromEntries(fields.map(([name, value]) => [name, [value].flat()])))
})

app.post('/upload', async (context) => {
  const { file, note } = await context.req.parseBody()
  const headers = { ...octets, 'x-filename': file.name, 'x-note': note }
  return context.body(await file.arrayBuffer(), 200, headers)
})

app.get('/binary', (context) =>
  context.body(Uint8Array.from({ length: 256 }, (_, byte) => byte), 200, octets)
)

app.get('/redirect', (context) => context.redirect('/query?from=redirect'))

app.get('/boom', () => {
  throw new Error('boom')
})

// Hono routes HEAD as GET.
app.get('/head', (context) => context.body(null, 200, { 'x-method': context.req.method }))

app.get('/path/:name', (context) => context.json({ name: context.req.param('name') }))

export const handler = handle(app)
