"""A small Callboard client, written from docs/protocol.md, with nothing but pyzmq and msgpack.

One thread, no callbacks: everything happens inside pump(), which the waiting functions call.

    client = Client("tcp://127.0.0.1:7700")
    counter = client.create("Counter", [10], ["add"], {NAME: "hits"})
    total = client.submit(counter, "add", [1])
    print(total.result(2.0))
    client.close()
"""

import random
import time

import msgpack
import zmq

# Message types.
HELLO, WELCOME, GOODBYE, WHO, PING, PONG = range(1, 7)
OPEN, METHODS, CLOSE, CREATE, SUBMIT, TAKEN, CANCEL, RESUME, KILL, WAITING, ADMIN = range(32, 43)
OPENED, ACCEPTED, REFUSED, RESULT, CANCEL_ANSWER, PARKED, ROOM, ADMIN_ANSWER = range(48, 56)

# Options of a call and of an actor that the tests use.
DEADLINE, PRIORITY, KEY, HEADERS, REFS, AFTER, MAX_RETRIES = 1, 2, 3, 4, 5, 6, 7
DURABILITY, DELAY, NO_RESULT, WHEN_FULL, AT = 11, 12, 14, 16, 17
NAME, NAMESPACE, GET_IF_EXISTS, MAX_CONCURRENCY, MAX_PENDING = 1, 2, 3, 6, 8
DURABLE, MEMORY = 0, 1
REJECT, BLOCK = 0, 1

OK, DEPENDENCY_FAILED, QUEUE_FULL, UNKNOWN_SESSION = 0, 7, 8, 23

ACTOR, QUEUE_NAME, TASK = 0, 1, 2  # kinds of open

PART_BYTES_MIN = 16384
FRAME_BYTES_TARGET = 256 * 1024
VERSION = 1


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def unpack(data):
    return msgpack.unpackb(data, raw=False, strict_map_key=False, unicode_errors="replace")


def read_head(head):
    """All MessagePack values of the first part of a frame."""
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors="replace",
                                max_buffer_size=0)
    unpacker.feed(head)
    return list(unpacker)


def ranges_of(numbers):
    """[first, count, first, count, ...] for a set of numbers."""
    flat = []
    for number in sorted(numbers):
        if flat and flat[-2] + flat[-1] == number:
            flat[-1] += 1
        else:
            flat += [number, 1]
    return flat


def numbers_in(flat):
    for first, count in zip(flat[::2], flat[1::2]):
        yield from range(first, first + count)


class CallFailed(Exception):
    """A call that ended with an error, or was refused."""

    def __init__(self, code, info):
        super().__init__(f"error {code}: {info.get('message', '')}")
        self.code = code
        self.info = info


class ConnectionEnded(Exception):
    """The broker said goodbye."""

    def __init__(self, code, text):
        super().__init__(f"goodbye {code}: {text}")
        self.code = code


class Call:
    """One call or creation, from submit to its answer."""

    def __init__(self, client, seq, handle, write):
        self.client = client
        self.seq = seq
        self.handle = handle
        self.write = write        # appends the message to a FrameBuilder
        self.acknowledged = False
        self.parked = False
        self.was_parked = False   # then only `again` or a result says that it is accepted
        self.status = None        # an error code once it has ended
        self.value = None
        self.repeats = 0          # results that came after the first
        self.retry_after_ms = 0

    @property
    def id(self):
        return [self.client.session, self.seq]

    @property
    def ended(self):
        return self.status is not None

    def result(self, timeout=10.0):
        self.client.wait_for(lambda: self.ended, timeout, f"result of call {self.seq}")
        if self.status != OK:
            raise CallFailed(self.status, self.value)
        return self.value


class Handle:
    """A queue, as the client numbers it."""

    def __init__(self, number, methods):
        self.number = number
        self.methods = list(methods)
        self.target = None        # (kind, actor id, name) to open it with
        self.answer = None        # the fields of `opened`
        self.parked = False


class FrameBuilder:
    """Collects messages for one or more frames."""

    def __init__(self, epoch):
        self.header = pack([VERSION, epoch])
        self.frames = []

    def message(self, *fields):
        self.add(pack(list(fields)))

    def call_message(self, before, args, after):
        """A message that holds encoded arguments, in place or as a part."""
        if len(args) >= PART_BYTES_MIN:
            self.add(pack([*before, None, *after]), args)
        else:
            self.add(pack([*before, args, *after]))

    def add(self, message, part=None):
        if not self.frames or len(self.frames[-1][0]) > FRAME_BYTES_TARGET:
            self.frames.append([self.header])
        self.frames[-1][0] += message
        if part is not None:
            self.frames[-1].append(part)


class Client:
    def __init__(self, endpoint, name="python", session=None, connect=True):
        self.endpoint = endpoint
        self.name = name
        self.session = session or random.getrandbits(55) | 2
        self.context = zmq.Context.instance()
        self.socket = None
        self.epoch = 0
        self.welcome = None
        self.known = False         # the broker has welcomed this session before
        self.next_seq = 1
        self.next_handle = 0
        self.next_request = 1
        self.handles = {}
        self.calls = {}            # without an answer
        self.done = {}             # with one, until a repeat can no longer come
        self.untaken = set()
        self.refused_through = 0
        self.answers = {}
        self.cancel_answers = {}
        self.accepted_through = 0
        self.goodbye = None
        self.heartbeat = 0.5
        self.last_sent = 0.0
        self.hellos = 0
        self.builder = None
        if connect:
            self.connect()

    # --- connection ----------------------------------------------------------------------------

    def connect(self, timeout=10.0):
        """A new connection; goes on with the session if there was one."""
        self.drop_connection()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndhwm = self.socket.rcvhwm = 0
        self.socket.connect(self.endpoint)
        self.say_hello()
        self.wait_for(lambda: self.welcome is not None, timeout, "welcome")

    def drop_connection(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def say_hello(self):
        self.welcome = None
        self.hellos += 1
        info = {"name": self.name, "session": self.session}
        if self.known:
            info["resume"] = True
            info["acked_through"] = self.refused_through
        self.builder = None
        self.write(HELLO, VERSION, VERSION, 0, info)
        self.flush()

    def on_welcome(self, version, features, epoch, info):
        assert version == VERSION and features == 0
        new_epoch = epoch != self.epoch
        self.epoch = epoch
        self.welcome = info
        self.heartbeat = info["heartbeat_ms"] / 1000
        self.builder = None  # what was gathered was for the connection before
        if self.known:
            self.resume(info.get("accepted_through", 0), set(info.get("refused", [])), new_epoch)
        self.known = True

    def resume(self, accepted_through, refused, new_epoch):
        """What a reconnect needs: handles first, then the calls that the broker does not have."""
        self.accepted_through = accepted_through
        pending = {seq: call for seq, call in self.calls.items()
                   if seq > accepted_through or seq in refused}
        for seq, call in self.calls.items():
            call.parked = False
            call.was_parked = seq in refused
            call.acknowledged = seq not in pending
        creating = {call.handle.number for call in pending.values() if call.handle.target is None}
        for handle in self.handles.values():
            handle.parked = False
            if handle.number not in creating:
                self.write_open(handle)
        for _, call in sorted(pending.items()):
            call.write(self)
        if self.untaken:
            self.write(TAKEN, ranges_of(self.untaken))

    def close(self):
        if self.socket is not None and self.goodbye is None and self.welcome is not None:
            self.write(GOODBYE, 0, "")
            self.flush()
            self.socket.close(linger=1000)
            self.socket = None
        self.drop_connection()

    # --- writing -------------------------------------------------------------------------------

    def frame(self):
        if self.builder is None:
            self.builder = FrameBuilder(self.epoch)
        return self.builder

    def write(self, *fields):
        self.frame().message(*fields)

    def flush(self):
        if self.builder is None or self.socket is None:
            return
        for parts in self.builder.frames:
            self.socket.send_multipart(parts)
        self.builder = None
        self.last_sent = time.monotonic()

    # --- what a user asks for ------------------------------------------------------------------

    def open(self, kind, name="", actor=(0, 0), methods=(), wait=True):
        handle = self.new_handle(methods)
        handle.target = (kind, list(actor), name)
        self.write_open(handle)
        if wait:
            self.wait_opened(handle)
        return handle

    def task(self, function, wait=True):
        return self.open(TASK, function, wait=wait)

    def create(self, class_name, args=(), methods=(), options=None, wait=True):
        handle = self.new_handle(methods)
        encoded = pack(list(args))

        def write(client):
            client.frame().call_message([CREATE, call.seq, handle.number, class_name], encoded,
                                        [options or None, handle.methods])

        call = self.new_call(handle, write)
        handle.creation = call
        handle.name_option = (options or {}).get(NAME)
        write(self)
        if wait:
            self.wait_opened(handle)
        return handle

    def submit(self, handle, method, args=(), options=None, encoded=None, refs=None):
        """`refs`: {index of an argument: [session, seq]}; those arguments are given as None."""
        options = dict(options or {})
        if refs:
            options[REFS] = [n for i in sorted(refs) for n in (i, *refs[i])]
            encoded = pack([None if i in refs else pack(arg) for i, arg in enumerate(args)])
        if encoded is None:
            encoded = pack(list(args))
        number = handle.methods.index(method) if handle.methods else 0

        def write(client):
            client.frame().call_message([SUBMIT, call.seq, handle.number, number], encoded,
                                        [options or None])

        call = self.new_call(handle, write)
        if handle.parked:
            call.parked = call.was_parked = True  # it would be; it leaves when there is room
        else:
            self.say_taken()  # before the call: what was taken makes room in its queue
            write(self)
        return call

    def add_methods(self, handle, names):
        handle.methods += names
        self.write(METHODS, handle.number, list(names))

    def say_taken(self):
        if self.untaken and self.welcome is not None:
            self.write(TAKEN, ranges_of(self.untaken))
            self.untaken.clear()

    def say_resume(self, handle):
        self.write(RESUME, handle.number)

    def cancel(self, call_id, force=False, timeout=10.0):
        key = tuple(call_id)
        self.cancel_answers.pop(key, None)
        self.write(CANCEL, *call_id, force)
        self.wait_for(lambda: key in self.cancel_answers, timeout, "cancel_answer")
        return self.cancel_answers[key]

    def kill(self, handle, timeout=10.0):
        return self.request(lambda number: (KILL, number, handle.number, False), timeout)

    def admin(self, verb, info=None, timeout=10.0):
        return self.request(lambda number: (ADMIN, number, verb, info or {}), timeout)

    def request(self, message, timeout):
        number = self.next_request
        self.next_request += 1
        self.write(*message(number))
        self.wait_for(lambda: number in self.answers, timeout, "admin_answer")
        return self.answers.pop(number)

    # --- bookkeeping ---------------------------------------------------------------------------

    def new_handle(self, methods):
        handle = Handle(self.next_handle, methods)
        handle.creation = None
        self.handles[handle.number] = handle
        self.next_handle += 1
        return handle

    def new_call(self, handle, write):
        call = Call(self, self.next_seq, handle, write)
        self.calls[call.seq] = call
        self.next_seq += 1
        return call

    def write_open(self, handle):
        if handle.target is None:  # it was created, but we never heard how that went
            if handle.name_option:
                handle.target = (QUEUE_NAME, [0, 0], handle.name_option)
            else:
                handle.target = (ACTOR, handle.creation.id, "")
        kind, actor, name = handle.target
        self.write(OPEN, handle.number, kind, *actor, name, handle.methods)

    def wait_opened(self, handle, timeout=10.0):
        self.wait_for(lambda: handle.answer is not None, timeout, "opened")
        code, text = handle.answer[0], handle.answer[1]
        if code != OK:
            raise CallFailed(code, {"message": text})

    # --- reading -------------------------------------------------------------------------------

    def wait_for(self, condition, timeout, what):
        end = time.monotonic() + timeout
        while not condition():
            if self.goodbye is not None:
                raise ConnectionEnded(*self.goodbye)
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no {what} within {timeout} s")
            self.pump(left)

    def pump(self, timeout=0.0):
        """Sends what is gathered, then handles what arrives within `timeout` seconds."""
        self.say_taken()
        if time.monotonic() - self.last_sent >= self.heartbeat and self.welcome is not None:
            self.write(PING, 1)
        self.flush()
        if self.socket.poll(min(timeout, self.heartbeat) * 1000):
            while self.socket.poll(0):
                self.on_frame(self.socket.recv_multipart())

    def on_frame(self, parts):
        values = read_head(parts[0])
        header, messages = values[0], values[1:]
        if header[1] < self.epoch:
            return  # a broker that was replaced
        big = iter(parts[1:])
        for message in messages:
            kind, fields = message[0], message[1:]
            if kind in (WELCOME, WHO, GOODBYE):
                self.on_connection(kind, fields)
            elif kind == RESULT:
                value = fields[2] if fields[2] is not None else next(big)
                if self.welcome is not None:
                    self.on_result(fields[0], fields[1], value)
            elif self.welcome is not None:
                self.on_message(kind, fields)
        self.flush()

    def on_connection(self, kind, fields):
        if kind == GOODBYE:
            self.goodbye = tuple(fields[:2])
        elif kind == WELCOME and self.welcome is None:
            self.on_welcome(*fields[:4])
        elif kind == WHO and self.welcome is not None:
            self.say_hello()

    def on_message(self, kind, fields):
        if kind == OPENED:
            self.on_opened(fields)
        elif kind == ACCEPTED:
            self.on_accepted(fields[0], fields[1])
        elif kind == REFUSED:
            seq, code, text, retry_after_ms = fields[:4]
            self.refused_through = max(self.refused_through, seq)
            call = self.calls.get(seq)
            if call is not None:
                call.retry_after_ms = retry_after_ms
                self.end(call, code, {"message": text})
        elif kind == PARKED:
            self.on_parked(self.handles[fields[0]], fields[1])
        elif kind == ROOM:
            self.on_room(self.handles[fields[0]], fields[1])
        elif kind == CANCEL_ANSWER:
            self.cancel_answers[tuple(fields[:2])] = fields[2]
        elif kind == ADMIN_ANSWER:
            self.answers[fields[0]] = (fields[1], fields[2])
        elif kind == PING:
            self.write(PONG, fields[0])

    def on_opened(self, fields):
        handle = self.handles[fields[0]]
        handle.answer = fields[1:]
        code, actor = fields[1], fields[3:5]
        if handle.creation is not None and not handle.creation.ended:
            self.end(handle.creation, code, None)
        if code == OK and any(actor):
            handle.target = (ACTOR, actor, "")

    def on_accepted(self, through, again):
        for seq in numbers_in(again):
            if seq in self.calls:
                self.calls[seq].acknowledged = True
        for seq in range(self.accepted_through + 1, through + 1):
            call = self.calls.get(seq)
            if call is not None and not call.was_parked:
                call.acknowledged = True
        self.accepted_through = max(self.accepted_through, through)

    def on_result(self, seq, status, value):
        if seq in self.done:
            self.done[seq].repeats += 1
            return
        call = self.calls.get(seq)
        if call is not None:
            call.acknowledged = True
            self.end(call, status, unpack(value))
            self.untaken.add(seq)

    def end(self, call, status, value):
        call.status, call.value = status, value
        self.done[call.seq] = self.calls.pop(call.seq)

    def on_parked(self, handle, first):
        handle.parked = True
        for seq, call in self.calls.items():
            if call.handle is handle and seq >= first and not call.acknowledged:
                call.parked = call.was_parked = True

    def on_room(self, handle, room):
        """The parked calls, in their order, as many as there is room for."""
        parked = [call for _, call in sorted(self.calls.items())
                  if call.handle is handle and call.parked]
        for call in parked[:room]:
            call.parked = False
            call.write(self)
        handle.parked = len(parked) > room  # the rest waits for the next room
        if len(parked) < room:
            self.say_resume(handle)  # the rest of the room is for others
