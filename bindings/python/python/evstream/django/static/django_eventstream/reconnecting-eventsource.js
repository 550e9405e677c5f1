// An EventSource that also comes back where a browser's gives up, as when a proxy answers with an error meanwhile.
(function () {
  'use strict'

  function ReconnectingEventSource (url, options) {
    options = options || {}
    this.url = String(url)
    this.withCredentials = Boolean(options.withCredentials)
    this.max_retry_time = options.max_retry_time || 3000
    this.readyState = 0
    this.onopen = this.onerror = this.onmessage = null
    this._lastEventId = options.lastEventId || null
    this._listeners = {}
    this._timer = null
    this._refused = false
    this._start()
  }

  ReconnectingEventSource.CONNECTING = ReconnectingEventSource.prototype.CONNECTING = 0
  ReconnectingEventSource.OPEN = ReconnectingEventSource.prototype.OPEN = 1
  ReconnectingEventSource.CLOSED = ReconnectingEventSource.prototype.CLOSED = 2

  ReconnectingEventSource.prototype._start = function () {
    var url = this.url
    if (this._lastEventId) {
      url += (url.indexOf('?') < 0 ? '?' : '&') + 'lastEventId=' + encodeURIComponent(this._lastEventId)
    }
    var source = this._source = new EventSource(url, { withCredentials: this.withCredentials })
    var self = this
    source.onopen = function (event) {
      self.readyState = 1
      if (self.onopen) self.onopen(event)
    }
    source.onerror = function (event) {
      self.readyState = 0
      if (self.onerror) self.onerror(event)
      // A stream that was refused would be refused again.
      if (source.readyState !== 2 || self.readyState === 2 || self._refused) return
      self._timer = setTimeout(function () { self._start() }, self.max_retry_time * Math.random())
    }
    source.addEventListener('stream-error', function () { self._refused = true })
    ;['message', 'stream-open', 'stream-reset', 'keep-alive'].forEach(function (type) { self._follow(type) })
    Object.keys(this._listeners).forEach(function (type) { self._attach(type) })
  }

  // Keeps the position, with which it comes back.
  ReconnectingEventSource.prototype._follow = function (type) {
    var self = this
    this._source.addEventListener(type, function (event) {
      if (event.lastEventId) self._lastEventId = event.lastEventId
      if (type === 'message' && self.onmessage) self.onmessage(event)
    })
  }

  ReconnectingEventSource.prototype._attach = function (type) {
    var self = this
    this._source.addEventListener(type, function (event) {
      if (event.lastEventId) self._lastEventId = event.lastEventId
      ;(self._listeners[type] || []).slice().forEach(function (listener) {
        if (typeof listener === 'function') listener.call(self, event)
        else listener.handleEvent(event)
      })
    })
  }

  ReconnectingEventSource.prototype.addEventListener = function (type, listener) {
    var isNew = !(type in this._listeners)
    var listeners = this._listeners[type] = this._listeners[type] || []
    if (listeners.indexOf(listener) < 0) listeners.push(listener)
    if (isNew) this._attach(type)
  }

  ReconnectingEventSource.prototype.removeEventListener = function (type, listener) {
    this._listeners[type] = (this._listeners[type] || []).filter(function (other) { return other !== listener })
  }

  ReconnectingEventSource.prototype.close = function () {
    clearTimeout(this._timer)
    this.readyState = 2
    this._source.close()
  }

  window.ReconnectingEventSource = ReconnectingEventSource
})()
