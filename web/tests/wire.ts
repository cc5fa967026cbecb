/** The other end of the page's socket, in a test's hands. */

export class Wire {
  readyState: number = WebSocket.CONNECTING
  readonly sent: string[] = []
  onopen: (() => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null

  send(text: string): void {
    this.sent.push(text)
  }

  close(code = 1005): void {
    this.readyState = WebSocket.CLOSED
    this.onclose?.({ code })
  }

  accept(): void {
    this.readyState = WebSocket.OPEN
    this.onopen?.()
  }

  deliver(...messages: unknown[]): void {
    this.onmessage?.({ data: JSON.stringify(messages) })
  }

  /** Names of the feeds that were asked for with an operation, in order. */
  asked(op: 'subscribe' | 'unsubscribe'): string[] {
    const requests = this.sent.map((text) => JSON.parse(text) as { op: string; feed: string })
    return requests.filter((request) => request.op === op).map(({ feed }) => feed)
  }
}
