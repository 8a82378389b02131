"""Judges what clients were told against what really ran. Knows nothing of how Callboard works."""

import collections

AT_MOST_ONCE = ("once", "prio", "keyed", "later")
SERIAL = ("once", "prio", "again", "stumble")  # to an actor that runs one call at a time
DELAY_MS = 500
FAIL_ATTEMPTS = 3
# What may become of a call when things break, beside its value.
ALLOWED = {
    "once": {"maybe_executed"},
    "prio": {"maybe_executed"},
    "keyed": {"maybe_executed"},
    "later": {"maybe_executed"},
    "again": set(),
    "stumble": set(),
    "task": set(),
    "fail": {"task_error", "maybe_executed"},
}
# Nothing was stored: such a call must not have run.
REFUSALS = {"store_full", "store_unavailable", "refused_before"}
# What may become of calls, and of whatever they need, when the store lost them.
LOSSES = {"lost", "maybe_executed", "actor_died", "unknown_actor"}
POISON_LIMIT = 3

Run = collections.namedtuple("Run", "pid epoch ms")


def lines_of(path):
    with open(path) as file:
        yield from file


def lane_of(word):
    return word.rsplit(":", 1)[0]


def actor_of(word):
    """The lanes of one actor are its name, a dot and a number."""
    return lane_of(word).split(".")[0]


class History:
    def __init__(self, lossy=False):
        """`lossy`: the store may lose what it acknowledged. Then calls may end as lost, and what it
        forgot may run again: that is counted, the other promises are judged."""
        self.lossy = lossy
        self.measured = collections.Counter()
        self.kinds = {}
        self.submitted_ms = {}
        self.asked = collections.Counter()
        self.answers = collections.defaultdict(list)
        self.told_ms = []                          # when answers came
        self.abandoned = set()                     # words of clients that were killed
        self.runs = collections.defaultdict(list)  # word -> [Run]
        self.order = []                            # (X, Y or F, word, pid, epoch, ms)
        self.pauses = []                           # [pid, from ms, to ms, actors excused]
        self.problems = []

    def read_client(self, path, killed=False):
        unanswered = None
        words_of_it = set()
        for line in lines_of(path):
            words = line.split()
            if words[0] == "S":
                self.kinds[words[1]] = words[2]
                self.submitted_ms.setdefault(words[1], int(words[3]))
                self.asked[words[1]] += 1
                words_of_it.add(words[1])
            elif words[0] == "R":
                self.answers[words[1]].append((words[2], words[3]))
                self.told_ms.append(int(words[4]))
            elif words[0] == "E":
                unanswered = int(words[1])
        if killed:
            self.abandoned |= words_of_it
        elif unanswered is None:
            self.problems.append(f"{path}: the client did not end in order")
        elif unanswered:
            self.problems.append(f"{path}: {unanswered} calls were never answered")

    def read_executions(self, path):
        for line in lines_of(path):
            words = line.split()
            epoch = ms = 0
            if words[0] == "X":
                epoch, ms = int(words[3]), int(words[5])
                self.runs[words[1]].append(Run(int(words[2]), epoch, ms))
            self.order.append((words[0], words[1], int(words[2]), epoch, ms))

    def broken(self, what, text):
        """A promise that holds only as long as the store keeps what it acknowledged."""
        if self.lossy:
            self.measured[what] += 1
        else:
            self.problems.append(text)

    def add_pause(self, pid, from_ms, to_ms):
        """A process that was stopped: what it had decided to begin, it notes when it wakes up."""
        self.pauses.append([pid, from_ms, to_ms, set()])

    def judge(self):
        for word, kind in self.kinds.items():
            self.judge_call(word, kind)
        for word in self.runs:
            if word not in self.kinds:
                self.problems.append(f"{word} ran and nobody had asked for it")
        self.judge_order()
        self.judge_overlap()
        self.judge_retries()
        return self.problems

    def judge_call(self, word, kind):
        runs = self.runs.get(word, [])
        answers = self.answers.get(word, [])
        if len(answers) != self.asked[word] and word not in self.abandoned:
            self.problems.append(f"{word} ({kind}): asked {self.asked[word]} times, "
                                 f"answered {len(answers)} times")
        if kind in AT_MOST_ONCE and len(runs) > 1:
            self.broken("ran again", f"{word} ({kind}) ran {len(runs)} times: {runs}")
        if kind == "fail" and len(runs) > FAIL_ATTEMPTS:
            self.broken("ran again",
                        f"{word} ran {len(runs)} times, its budget is {FAIL_ATTEMPTS}")
        accepted = [code for code, _ in answers if code not in REFUSALS]
        if answers and not accepted and word not in self.abandoned and runs:
            self.problems.append(f"{word} ({kind}) was refused and ran: {answers}")
        for code, value in answers:
            self.judge_answer(word, kind, code, value, runs)
        if len(set(accepted)) > 1:
            self.broken("answers of one key differ", f"{word} ({kind}): answers differ: {answers}")
        if kind == "later":
            for run in runs:
                if run.ms < self.submitted_ms[word] + DELAY_MS - 20:
                    self.problems.append(f"{word} began {run.ms - self.submitted_ms[word]} ms "
                                         "after its submit")

    def judge_answer(self, word, kind, code, value, runs):
        if code == "ok":
            if kind == "fail":
                self.problems.append(f"{word} fails always and was told ok")
            if value != word:
                self.problems.append(f"{word} was told the value {value}")
            if not runs:
                self.problems.append(f"{word} ({kind}) was told ok and never ran")
        elif code == "task_error" and not runs:
            self.problems.append(f"{word} ({kind}) was told of an error and never ran")
        elif code == "poisoned" and kind not in AT_MOST_ONCE and len(runs) >= POISON_LIMIT:
            pass
        elif code in ALLOWED[kind] or code in REFUSALS:
            pass
        elif self.lossy and code in LOSSES:
            self.measured[code] += 1
        else:
            self.problems.append(f"{word} ({kind}) ended with {code}")

    def excused(self, pid, actor, ms):
        """Between the decision to begin and its note lie a few instructions; a process that is
        stopped there writes the note late. Once for each actor and stop."""
        for pause in self.pauses:
            of, from_ms, to_ms, actors = pause
            if of == pid and from_ms - 50 <= ms <= to_ms + 1000 and actor not in actors:
                actors.add(actor)
                return True
        return False

    def judge_order(self):
        """Calls of one client to one lane begin for the first time in the order of their submits,
        and all in one life of the actor do. A call whose result died with its worker runs again in
        the next life, behind calls that only the old one has seen."""
        first, in_life, seen = {}, {}, set()
        for what, word, _, epoch, _ in self.order:
            if what != "X" or self.kinds.get(word) not in SERIAL:
                continue
            lane, number = lane_of(word), int(word.rsplit(":", 1)[1])
            for last, key in ((first, lane), (in_life, (lane, epoch))):
                if last is first and word in seen:
                    continue
                if number < last.get(key, 0):
                    self.broken("out of order",
                                f"{word} began after number {last[key]} of {lane}")
                last[key] = max(number, last.get(key, 0))
            seen.add(word)

    def judge_overlap(self):
        """A serial actor runs one call at a time in one life; epochs of an actor only rise."""
        running, epochs = {}, {}
        for what, word, pid, epoch, ms in self.order:
            if self.kinds.get(word) not in SERIAL:
                continue
            actor = actor_of(word)
            if what != "X":
                if running.get((actor, pid)) == word:
                    del running[(actor, pid)]
                continue
            if (actor, pid) in running:
                self.problems.append(f"{word} began while {running[(actor, pid)]} ran in {pid}")
            running[(actor, pid)] = word
            if epoch < epochs.get(actor, 0) and not self.excused(pid, actor, ms):
                self.broken("epoch fell",
                            f"{word} began in epoch {epoch} after {epochs[actor]}")
            epochs[actor] = max(epoch, epochs.get(actor, 0))

    def judge_retries(self):
        """A call that failed and is tried again holds its lane: nothing else begins before it in
        the same life of the actor."""
        failed, lives = {}, {}
        for what, word, pid, epoch, _ in self.order:
            if self.kinds.get(word) != "stumble":
                continue
            if what == "X":
                life = lives[(word, pid)] = (actor_of(word), epoch)
                due = failed.pop(life, word)
                if due != word:
                    self.broken("out of order",
                                f"{word} began before the failed {due} was tried again")
            elif what == "F":
                failed[lives[(word, pid)]] = word

    def summary(self):
        codes = collections.Counter(code for answers in self.answers.values()
                                    for code, _ in answers)
        kinds = collections.Counter(self.kinds.values())
        return {"calls": sum(self.asked.values()), "executions": sum(map(len, self.runs.values())),
                "answers": dict(codes), "kinds": dict(kinds),
                **({"measured": dict(self.measured)} if self.lossy else {})}
