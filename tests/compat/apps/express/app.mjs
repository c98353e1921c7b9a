// The routes of the compatibility matrix on Express, behind two adapters.

import serverlessExpress from '@codegenie/serverless-express'
import express from 'express'
import multer from 'multer'
import serverlessHttp from 'serverless-http'

const octets = 'application/octet-stream'
const app = express()

/** The values of each name as a list: Express gives the only value of a name bare. */
const multiMap = (values) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, [value].flat()]))

app.get('/query', (request, response) => response.json(multiMap(request.query)))

app.get('/cookies', (request, response) => {
  const received = request.get('cookie').split('; ').map((cookie) => cookie.split('='))
  response.cookie('first', '1').cookie('second', '2').json(Object.fromEntries(received))
})

app.post('/json', express.json(), (request, response) => response.json(request.body))

app.post('/form', express.urlencoded(), (request, response) => response.json(multiMap(request.body)))

app.post('/upload', multer().single('file'), (request, response) =>
  response
    .set({ 'x-filename': request.file.originalname, 'x-note': request.body.note })
    .type(octets)
    .send(request.file.buffer)
)

app.get('/binary', (request, response) =>
  response.type(octets).send(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)))
)

app.get('/redirect', (request, response) => response.redirect('/query?from=redirect'))

app.get('/boom', () => {
  throw new Error('boom')
})

app.head('/head', (request, response) => response.set('x-method', request.method).end())

app.get('/path/:name', (request, response) => response.json({ name: request.params.name }))

export const behindServerlessHttp = serverlessHttp(app, { binary: [octets] })

export const behindServerlessExpress = serverlessExpress({
  app,
  binarySettings: { contentTypes: [octets] },
})
