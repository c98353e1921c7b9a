// The Lambda runtime of the Node.js functions: calls the handler that is named as FILE.EXPORT on
// the command line with one event after the other, as AWS's own runtime client for Node.js does.
// That client (aws-lambda-ric on npm) compiles C++ during its installation, which few machines
// are set up for.

import { pathToFileURL } from 'node:url'

const [, file, name] = process.argv[2].match(/^(.+)\.(\w+)$/)
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`
const report = (path, error) =>
  fetch(`${api}/${path}/error`, {
    method: 'POST',
    headers: { 'Lambda-Runtime-Function-Error-Type': error.name },
    body: JSON.stringify({
      errorType: error.name,
      errorMessage: error.message,
      trace: error.stack.split('\n'),
    }),
  })

let handler
try {
  handler = (await import(pathToFileURL(`${file}.mjs`)))[name]
} catch (error) {
  await report('init', error)
  throw error
}

for (;;) {
  const next = await fetch(`${api}/invocation/next`)
  const id = next.headers.get('lambda-runtime-aws-request-id')
  const deadline = Number(next.headers.get('lambda-runtime-deadline-ms'))
  const context = {
    awsRequestId: id,
    callbackWaitsForEmptyEventLoop: true,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    getRemainingTimeInMillis: () => deadline - Date.now(),
    invokedFunctionArn: next.headers.get('lambda-runtime-invoked-function-arn'),
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
  }
  try {
    const answer = await handler(await next.json(), context)
    await fetch(`${api}/invocation/${id}/response`, {
      method: 'POST',
      body: JSON.stringify(answer) ?? 'null',
    })
  } catch (error) {
    await report(`invocation/${id}`, error)
  }
}
