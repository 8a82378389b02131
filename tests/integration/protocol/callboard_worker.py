"""A small Callboard worker and supervisor, written from docs/protocol.md.

It runs calls one at a time, when work() is called, so that a test decides what has begun and what
has not. One thread; pump() sends and receives.

    worker = Worker("tcp://127.0.0.1:7700", "py", {"Counter": Counter}, {"join": join})
    while True:
        worker.pump(0.1)
        worker.work()
"""

import collections
import random
import time

import zmq

from callboard_client import (GOODBYE, HELLO, PART_BYTES_MIN, PING, PONG, VERSION, WELCOME, WHO,
                              FrameBuilder, numbers_in, pack, read_head, unpack)

START, STOP, METHOD_TABLE, RUN, FORGET, REVOKE, GO_ON = range(64, 71)
STARTED, DONE, WINDOW, RETURNED, REVOKE_ANSWER = range(80, 85)
STATUS, CHILD_DIED, STOPPED = range(86, 89)

CLIENT, WORKER, SUPERVISOR = 0, 1, 2  # roles
SERIAL = 1                            # mode

OK, TASK_ERROR, EXPIRED, UNKNOWN_METHOD, BAD_ARGUMENTS = 0, 1, 5, 10, 13
CONSTRUCTOR_FAILED, UNKNOWN_SESSION = 18, 23
CANCELLED_BEFORE_START, TOO_LATE, UNKNOWN_LEASE = 0, 3, 5


class Connection:
    """What a worker and a supervisor have in common: one DEALER socket that says hello."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.socket = None
        self.epoch = 0
        self.welcome = None
        self.goodbye = None
        self.heartbeat = 0.5
        self.pings = 0
        self.sent = {}           # ping -> when it was sent; 0: the hello
        self.answered = 0.0      # when the newest of them left that the broker has answered
        self.hellos = 0
        self.builder = None

    def connect(self, timeout=10.0):
        self.disconnect()
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndhwm = self.socket.rcvhwm = 0
        self.socket.connect(self.endpoint)
        self.say_hello()
        end = time.monotonic() + timeout
        while self.welcome is None:
            if self.goodbye or time.monotonic() > end:
                raise RuntimeError(f"not welcome: {self.goodbye}")
            self.pump(0.1)

    def disconnect(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        self.welcome = None

    def say_hello(self):
        self.welcome = None
        self.hellos += 1
        self.builder = None
        self.sent = {0: time.monotonic()}
        self.write(HELLO, VERSION, VERSION, 0, self.info())
        self.flush()

    def close(self):
        if self.socket is not None and self.welcome is not None and self.goodbye is None:
            self.write(GOODBYE, 0, "")
            self.flush()
            self.socket.close(linger=1000)
            self.socket = None
        self.disconnect()

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

    @property
    def has_lease(self):
        """Whether calls may begin."""
        if self.welcome is None:
            return False
        return time.monotonic() - self.answered < self.welcome["lease_ms"] / 1000

    def ping(self):
        self.pings += 1
        self.sent[self.pings] = time.monotonic()
        self.write(PING, self.pings)

    def pump(self, timeout=0.0):
        if self.socket is None:
            return
        due = max(self.sent.values(), default=0.0) + self.heartbeat
        if self.welcome is not None and time.monotonic() >= due:
            self.ping()
        self.flush()
        if self.socket.poll(min(timeout, self.heartbeat) * 1000):
            while self.socket is not None and self.socket.poll(0):
                self.on_frame(self.socket.recv_multipart())
        self.flush()

    def on_frame(self, parts):
        values = read_head(parts[0])
        if values[0][1] < self.epoch:
            return
        big = iter(parts[1:])
        for message in values[1:]:
            kind, fields = message[0], message[1:]
            self.put_big_value_in(kind, fields, big)
            if kind == WELCOME and self.welcome is None:
                self.epoch = fields[2]
                self.welcome = fields[3]
                self.heartbeat = fields[3]["heartbeat_ms"] / 1000
                self.answered = self.sent[0]
                self.builder = None
                self.on_welcome()
            elif kind == GOODBYE and not self.begin_anew(fields[0]):
                self.goodbye = fields[:2]
            elif kind == WHO and self.welcome is not None:
                self.say_hello()
            elif kind == PONG and self.welcome is not None:
                self.answered = max(self.answered, self.sent.get(fields[0], 0.0))
                self.sent = {number: at for number, at in self.sent.items() if number >= fields[0]}
            elif self.welcome is not None:
                self.on_message(kind, fields)

    def put_big_value_in(self, kind, fields, big):
        pass

    def begin_anew(self, code):
        """Whether this goodbye only meant that a session is not known."""
        return False

    def on_welcome(self):
        pass

    def on_message(self, kind, fields):
        pass


class Slot:
    def __init__(self, actor, incarnation, target):
        self.actor = actor
        self.incarnation = incarnation
        self.target = target
        self.methods = []
        self.held = False        # an error is out that awaits go_on
        self.queue = collections.deque()


class Running:
    """A call from `run` until `forget`."""

    def __init__(self, fields):
        (self.lease, self.slot, self.method, session, seq, self.attempt, self.deadline_ms,
         self.args, self.options) = fields[:9]
        self.call = [session, seq]
        self.arrived = time.monotonic()
        self.begun = False
        self.done = None         # (status, encoded value, held)


class Worker(Connection):
    def __init__(self, endpoint, name, classes=None, tasks=None, task_slots=1, window=2,
                 supervisor=""):
        super().__init__(endpoint)
        self.name = name
        self.classes = classes or {}
        self.tasks = tasks or {}
        self.task_slots = task_slots
        self.window = window
        self.supervisor = supervisor
        self.session = random.getrandbits(55) | 2
        self.instance = random.getrandbits(63)
        self.slots = {0: Slot([0, 0], 0, None)}
        self.slots[0].methods = list(self.tasks)
        self.calls = {}          # lease -> Running
        self.most_out = collections.Counter()
        self.log = []            # methods in the order in which they began
        self.headers = None      # of the call that ran last
        self.held_errors = False
        self.known = False
        self.connect()

    def info(self):
        """The hello. What has not begun is dropped for good, before it is written."""
        for slot in self.slots.values():
            slot.queue.clear()
        self.calls = {lease: call for lease, call in self.calls.items() if call.begun}
        info = {
            "role": WORKER, "name": self.name, "session": self.session, "instance": self.instance,
            "supervisor": self.supervisor, "task_slots": self.task_slots,
            "classes": [[name, SERIAL, methods_of(kind), [""] * len(methods_of(kind))]
                        for name, kind in self.classes.items()],
            "tasks": list(self.tasks),
            "held_actors": [[*slot.actor, slot.incarnation, number]
                            for number, slot in self.slots.items() if number],
            "held_calls": [[call.lease, *call.call, call.attempt, *self.slots[call.slot].actor,
                            self.slots[call.slot].incarnation, call.done is not None]
                           for call in self.calls.values() if call.slot in self.slots],
        }
        if self.known:
            info["resume"] = True
        return info

    def begin_anew(self, code):
        """The session, which this worker never used, is gone; actors and calls are not."""
        if code != UNKNOWN_SESSION:
            return False
        self.session = random.getrandbits(55) | 2
        self.known = False
        self.say_hello()
        return True

    def on_welcome(self):
        self.known = True
        for number, slot in self.slots.items():
            if number:
                slot.methods.clear()  # the broker tells its table again
            self.tell_window(number)
        for call in self.calls.values():
            if call.done is not None:
                self.tell_done(call)

    def leave(self):
        """Ends on purpose: hands back what has not begun, and lets its actors move."""
        for number, slot in self.slots.items():
            self.write(WINDOW, number, 0, 0)
            while slot.queue:
                self.give_back(slot.queue.popleft())
        for number in [number for number in self.slots if number]:
            del self.slots[number]
            self.write(STOPPED, number)
        self.close()

    # --- from the broker -----------------------------------------------------------------------

    def put_big_value_in(self, kind, fields, big):
        place = {RUN: 7, START: 6}.get(kind)
        if place is not None and fields[place] is None:
            fields[place] = next(big)

    def on_message(self, kind, fields):
        handlers = {START: self.on_start, STOP: self.on_stop, METHOD_TABLE: self.on_method_table,
                    RUN: self.on_run, FORGET: self.on_forget, REVOKE: self.on_revoke,
                    GO_ON: self.on_go_on}
        if kind in handlers:
            handlers[kind](fields)

    def on_start(self, fields):
        number, session, seq, incarnation, class_name, _, args = fields[:7]
        try:
            target = self.classes[class_name](*unpack(args))
        except Exception as error:  # whatever a constructor throws
            self.write(STARTED, number, CONSTRUCTOR_FAILED,
                       error_value(CONSTRUCTOR_FAILED, error, class_name))
            return
        self.slots[number] = Slot([session, seq], incarnation, target)
        self.write(STARTED, number, OK, b"")
        self.tell_window(number)

    def on_stop(self, fields):
        number, now = fields[:2]
        if number not in self.slots:
            return
        while self.slots[number].queue:
            if now:
                self.give_back(self.slots[number].queue.popleft())
            else:
                self.work(number)
        del self.slots[number]
        self.write(STOPPED, number)

    def on_method_table(self, fields):
        self.slots[fields[0]].methods += fields[1]

    def on_run(self, fields):
        call = Running(fields)
        self.calls[call.lease] = call
        self.slots[call.slot].queue.append(call)
        out = sum(1 for other in self.calls.values()
                  if other.slot == call.slot and other.done is None)
        self.most_out[call.slot] = max(self.most_out[call.slot], out)

    def on_forget(self, fields):
        for lease in numbers_in(fields[0]):
            if lease in self.calls and self.calls[lease].done is not None:
                del self.calls[lease]

    def on_revoke(self, fields):
        lease = fields[0]
        call = self.calls.get(lease)
        answer = UNKNOWN_LEASE if call is None else TOO_LATE
        if call is not None and not call.begun:
            self.slots[call.slot].queue.remove(call)
            self.give_back(call)
            answer = CANCELLED_BEFORE_START
        self.write(REVOKE_ANSWER, lease, answer)

    def on_go_on(self, fields):
        number, hand_back = fields[:2]
        slot = self.slots[number]
        slot.held = False
        if hand_back:
            while slot.queue:
                self.give_back(slot.queue.popleft())

    # --- to the broker -------------------------------------------------------------------------

    def tell_window(self, number):
        self.write(WINDOW, number, 0, self.window if number else self.task_slots)

    def tell_done(self, call):
        status, value, held = call.done
        if len(value) >= PART_BYTES_MIN:
            self.frame().add(pack([DONE, call.lease, status, None, held]), value)
        else:
            self.write(DONE, call.lease, status, value, held)

    def give_back(self, call):
        del self.calls[call.lease]
        self.write(RETURNED, call.lease)

    # --- running -------------------------------------------------------------------------------

    def work(self, only=None, finish=True):
        """Begins the next call of each slot, and ends it unless told otherwise. How many it was."""
        count = 0
        if not self.has_lease:
            return count
        for number in [only] if only is not None else list(self.slots):
            slot = self.slots.get(number)
            if slot is None or slot.held or not slot.queue:
                continue
            call = slot.queue.popleft()
            call.begun = True
            count += 1
            if finish:
                self.finish(call)
        return count

    def finish(self, call):
        slot = self.slots[call.slot]
        status, value = self.run(slot, call)
        held = self.held_errors and call.slot != 0 and status == TASK_ERROR
        slot.held = held
        call.done = (status, value, held)
        self.tell_done(call)

    def run(self, slot, call):
        name = slot.methods[call.method]
        place = name if call.slot == 0 else f"{type(slot.target).__name__}.{name}"
        if call.deadline_ms and time.monotonic() - call.arrived > call.deadline_ms / 1000:
            return EXPIRED, error_value(EXPIRED, "its deadline passed", place)
        function = self.tasks.get(name) if call.slot == 0 else getattr(slot.target, name, None)
        if function is None:
            return UNKNOWN_METHOD, error_value(UNKNOWN_METHOD, f"no method {name}", place)
        self.log.append((name, *call.call, call.attempt))
        self.headers = (call.options or {}).get(4)
        try:
            return OK, pack(function(*unpack(call.args)))
        except TypeError as error:
            return BAD_ARGUMENTS, error_value(BAD_ARGUMENTS, error, place)
        except Exception as error:  # whatever a method throws
            return TASK_ERROR, error_value(TASK_ERROR, error, place)


class Supervisor(Connection):
    """Speaks for children that have died."""

    def __init__(self, endpoint, name):
        super().__init__(endpoint)
        self.name = name
        self.connect()

    def info(self):
        return {"role": SUPERVISOR, "name": self.name}

    def child_died(self, worker, signal=9, blamed=(0, 0)):
        begun = [[call.lease, *call.call, call.attempt, *worker.slots[call.slot].actor,
                  worker.slots[call.slot].incarnation, call.done is not None]
                 for call in worker.calls.values() if call.begun]
        self.write(CHILD_DIED, worker.name, worker.instance, 1, signal, 0, b"last words", begun,
                   *blamed)
        self.flush()


def methods_of(kind):
    return [name for name in vars(kind) if not name.startswith("_")]


def error_value(code, error, place):
    value = {"code": code, "message": str(error), "place": place}
    if isinstance(error, Exception):
        value["type"] = type(error).__name__
    return pack(value)
