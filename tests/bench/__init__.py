"""The benchmark: how fast Tandem is, beside MariaDB's own replication on the same machine.

Where is what:

======== ======================================================================
run      options, order, the printed tables (`make bench` calls it)
figures  one measured figure with its target; medians; the tables
watch    CPU time and memory of processes while something runs
work     the tables and the backlogs, the same SQL for everybody
native   two servers with row-based GTID replication
laptops  two laptops with Tandem, and one measured drain
catchup  a backlog through both
latency  commit here, visible there; what it costs when nothing happens
capture  what the triggers cost the app
size     backlogs of growing size: time and memory; starting for nothing
======== ======================================================================
"""
