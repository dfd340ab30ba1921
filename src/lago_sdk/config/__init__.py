"""Settings: defaults, then files, then the environment, then arguments; the later wins.

Files are INI with the section ``[lago]`` and, where a setting shall hold for one verb of the
command line only, a section of the verb's name. Lago's files and variables are understood:
``/etc/lago/lago.conf``, ``lago/lago.conf`` in the XDG directories, ``LAGO_NAME`` for ``[lago]
name`` and ``LAGO__SECTION__NAME`` for ``[section] name``.
"""

from lago_sdk.config.model import Config, list_settings
from lago_sdk.config.values import AccelChoice, LogLevel, OutFormat, Setting

__all__ = ["AccelChoice", "Config", "LogLevel", "OutFormat", "Setting", "list_settings"]
