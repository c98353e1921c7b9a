// Called by AWS's runtime client for Node.js, `aws-lambda-ric`.

import { existsSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

export async function handler(event, context) {
  switch (event.rawPath) {
    case '/fail':
      throw new RangeError('as asked')
    case '/hang':
      await setTimeout(600_000)
  }
  return {
    event,
    request_id: context.awsRequestId,
    remaining_ms: context.getRemainingTimeInMillis(),
    environment: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
  }
}

export const stream = awslambda.streamifyResponse(async (event, answer) => {
  answer = awslambda.HttpResponseStream.from(answer, { statusCode: 201 })
  answer.write('first')
  while (!existsSync(event.body)) await setTimeout(5)
  answer.end('last')
})
