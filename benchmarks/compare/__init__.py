"""How does fastlstm compare with other libraries on this machine? `python -m benchmarks.compare`.

Every library runs in a process of its own, and they take turns, so that whatever disturbs the machine
disturbs all of them. A cell of the table is timed only after all libraries returned the same numbers.
"""
