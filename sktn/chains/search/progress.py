"""What scikit-learn's callbacks are told of a search: its stages, their tasks, its members."""

from contextlib import contextmanager


class Progress:
    """The tasks of a fit.

    estimator, context its own `CallbackContext`, X and y what it reads

    Attributes
    ----------
    stopped : bool
        Whether a callback asked to stop at the end of a task.
    """

    def __init__(self, estimator, context, X, y):
        self._context = context
        self._told = {"estimator": estimator, "X": X, "y": y}
        self.stopped = False
        context.call_on_fit_task_begin(**self._told)

    @contextmanager
    def stage(self, name):
        """What is done before there are members."""
        sub = self._context.subcontext(task_name=name)
        sub.call_on_fit_task_begin(**self._told)
        yield
        self._end(sub)

    @contextmanager
    def member(self, k, member):
        """The fit of a member: its own tasks are those of this one."""
        sub = self._context.subcontext(task_name=f"member {k}")
        with sub.propagate_callback_context(member):
            sub.call_on_fit_task_begin(**self._told)
            yield
            self._end(sub)

    def end(self):
        """Once the result is there."""
        self._context.call_on_fit_task_end(**self._told, reconstruction_attributes={})

    def _end(self, context):
        self.stopped |= context.call_on_fit_task_end(**self._told)
