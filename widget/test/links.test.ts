import assert from 'node:assert/strict'
import { test } from 'node:test'

import { destinationOf, samePage, samePlace, type Here } from '../src/links.js'

const HERE: Here = { href: 'https://book.example/docs/intro?a=1#top', canonical: '', reader: '' }

test('a place of this site is a path for its router', () => {
  assert.deepEqual(destinationOf('https://book.example/docs/topics#publish:~:text=A%20node', '', HERE), {
    href: 'https://book.example/docs/topics#publish:~:text=A%20node',
    path: '/docs/topics#publish',
    hash: '#publish',
  })
  assert.equal(destinationOf('/docs/topics', '', HERE)?.path, '/docs/topics')
  assert.equal(destinationOf('/docs/topics#:~:text=x', '', HERE)?.path, '/docs/topics')
})

test('a place of another site has no path', () => {
  assert.equal(destinationOf('https://other.example/docs', '', HERE)?.path, '')
})

test('a preview of the book stays a preview', () => {
  const preview = { ...HERE, href: 'http://localhost:3000/docs/intro', canonical: 'https://book.example/docs/intro' }

  assert.deepEqual(destinationOf('https://book.example/docs/topics#publish', '', preview), {
    href: 'http://localhost:3000/docs/topics#publish',
    path: '/docs/topics#publish',
    hash: '#publish',
  })
})

test('where the book is not served, a path leads to its text', () => {
  const front = { ...HERE, reader: '/read' }

  assert.deepEqual(destinationOf('/docs/topics#publish', 'p 1', front), {
    href: 'https://book.example/read/docs/topics?passage=p%201#publish',
    path: '',
    hash: '#publish',
  })
})

test('an address that is not one to follow leads nowhere', () => {
  const hostile = [
    'javascript:alert(1)',
    ' java\nscript:alert(1)',
    'JAVASCRIPT:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'blob:https://x/y',
    'file:///etc/passwd',
    'ftp://x/',
    'mailto:a@b.c',
    'https://user:word@book.example/',
    'http://',
    '//',
    'https://[',
  ]

  for (const url of hostile) assert.equal(destinationOf(url, '', HERE), null, url)
})

test('two addresses are of one place whatever words they point at', () => {
  assert.ok(samePlace('/docs/topics#a:~:text=x', 'https://book.example/docs/topics#a', HERE.href))
  assert.ok(!samePlace('/docs/topics#a', '/docs/topics#b', HERE.href))
  assert.ok(!samePlace('javascript:1', 'javascript:1', HERE.href))
})

test('a page is the same with or without a slash, an index or a hash', () => {
  for (const other of [
    '/docs/topics/',
    '/docs/topics#x',
    '/docs/topics?y',
    '/docs/topics.html',
    '/docs/topics/index.html',
  ]) {
    assert.ok(samePage('/docs/topics', other), other)
  }
  assert.ok(!samePage('/docs/topics', '/docs/topic'))
})
