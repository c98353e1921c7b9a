// The routes of the compatibility matrix on Fastify, behind @fastify/aws-lambda.

import awsLambda from '@fastify/aws-lambda'
import cookie from '@fastify/cookie'
import formbody from '@fastify/formbody'
import multipart from '@fastify/multipart'
import Fastify from 'fastify'

const octets = 'application/octet-stream'
const app = Fastify()
app.register(cookie)
app.register(formbody)
app.register(multipart)

/** The values of each name as a list: Fastify gives the only value of a name bare. */
const multiMap = (values) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, [value].flat()]))

app.get('/query', async (request) => multiMap(request.query))

app.get('/cookies', async (request, reply) => {
  reply.setCookie('first', '1').setCookie('second', '2')
  return request.cookies
})

app.post('/json', async (request) => request.body)

app.post('/form', async (request) => multiMap(request.body))

app.post('/upload', async (request, reply) => {
  const file = await request.file()
  const content = await file.toBuffer()
  reply.headers({ 'x-filename': file.filename, 'x-note': file.fields.note.value })
  return reply.type(octets).send(content)
})

app.get('/binary', async (request, reply) =>
  reply.type(octets).send(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)))
)

app.get('/redirect', async (request, reply) => reply.redirect('/query?from=redirect'))

app.get('/boom', async () => {
  throw new Error('boom')
})

app.head('/head', async (request, reply) => reply.header('x-method', request.method).send())

app.get('/path/:name', async (request) => ({ name: request.params.name }))

export const handler = awsLambda(app, {
  albMultiValueHeaders: process.env.PAYLOAD_FORMAT === 'alb-multi-value',
  binaryMimeTypes: [octets],
})
