"""Settings: where they come from, which wins, and what is said of mistakes."""

from pathlib import Path

import pytest

from lago_sdk.config import AccelChoice, Config, LogLevel, OutFormat, list_settings
from lago_sdk.errors import ConfigError
from lago_sdk.events import Note


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    for name in ("CACHE_HOME", "DATA_HOME", "STATE_HOME", "CONFIG_HOME", "CONFIG_DIRS"):
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("lago_sdk.adapters.settings._SYSTEM_FILE", tmp_path / "etc/lago.conf")


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _load(tmp_path, text="", *, env=None, notes=None, **more):
    path = _write(tmp_path / "lago.conf", text)
    observer = (lambda event: None) if notes is None else notes.append
    return Config.load(env=env or {}, files=[path], observer=observer, **more)


def test_defaults_need_nothing(tmp_path):
    config = Config.load(env={}, files=[])
    assert config.host == "auto"
    assert config.accel is AccelChoice.AUTO
    assert config.cache_dir == tmp_path / "cache_home/lago"
    assert config.template_store == tmp_path / "data_home/lago/templates"
    assert config.workdir == Path(".lago")


def test_directories_are_worked_out_when_a_config_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert Config().cache_dir == tmp_path / "elsewhere/lago"


def test_template_store_follows_data_dir(tmp_path):
    assert Config(data_dir=tmp_path).template_store == tmp_path / "templates"


def test_run_dir_without_a_session_is_short_and_ones_own(monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("os.getuid", lambda: 1234)
    assert Config().run_dir == Path("/tmp/lago-1234")


def test_later_sources_win(tmp_path):
    low = _write(tmp_path / "low.conf", "[lago]\nhost = system\nssh_user = a\nlogdepth = 1\n")
    high = _write(tmp_path / "high.conf", "[lago]\nssh_user = b\nlogdepth = 2\n")
    config = Config.load({"logdepth": 9}, env={"LAGO_LOGDEPTH": "5"}, files=[low, high])
    assert (config.host, config.ssh_user, config.logdepth) == ("system", "b", 9)
    assert Config.load(env={"LAGO_LOGDEPTH": "5"}, files=[low, high]).logdepth == 5


def test_files_are_etc_then_xdg_system_then_user(tmp_path):
    _write(tmp_path / "etc/lago.conf", "[lago]\nssh_user = etc\nhost = system\nlogdepth = 7\n")
    _write(tmp_path / "config_dirs/lago/lago.conf", "[lago]\nssh_user = site\nlogdepth = 8\n")
    _write(tmp_path / "config_home/lago/lago.conf", "[lago]\nssh_user = user\n")
    config = Config.load(env={})
    assert (config.host, config.logdepth, config.ssh_user) == ("system", 8, "user")


def test_the_first_xdg_system_directory_is_the_most_important(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_DIRS", f"{tmp_path}/one:{tmp_path}/two")
    _write(tmp_path / "one/lago/lago.conf", "[lago]\nssh_user = one\n")
    _write(tmp_path / "two/lago/lago.conf", "[lago]\nssh_user = two\n")
    assert Config.load(env={}).ssh_user == "one"


def test_none_as_argument_is_not_given(tmp_path):
    assert _load(tmp_path, "[lago]\nhost = system\n", arguments={"host": None}).host == "system"


def test_values_have_their_types(tmp_path):
    config = _load(
        tmp_path,
        "[lago]\naccel = TCG\nssh_timeout = 2.5\nparallel_starts = 4\nloglevel = debug\n"
        "out_format = json\ncache_dir = $BASE/cache\n",
    )
    assert config.accel is AccelChoice.TCG
    assert config.ssh_timeout == 2.5
    assert config.parallel_starts == 4
    assert config.loglevel is LogLevel.DEBUG
    assert config.out_format is OutFormat.JSON


def test_paths_are_expanded_and_absolute(tmp_path, monkeypatch):
    monkeypatch.setenv("BASE", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.chdir(tmp_path)
    config = _load(tmp_path, "[lago]\ncache_dir=$BASE/c\ndata_dir=~/d\nlease_dir=leases\n")
    assert config.cache_dir == tmp_path / "c"
    assert config.data_dir == Path("/home/ann/d")
    assert config.lease_dir == tmp_path / "leases"


class TestLagosNames:
    def test_libvirt_url_is_the_host(self, tmp_path):
        text = "[lago]\nlibvirt_url = qemu:///system\n"
        assert _load(tmp_path, text).host == "system"
        uri = "qemu+ssh://root@lab7/system"
        assert _load(tmp_path, f"[lago]\nlibvirt_url = {uri}\n").host == uri

    def test_template_settings_of_init_hold_for_every_verb(self, tmp_path):
        config = _load(tmp_path, "[init]\ntemplate_store = /srv/store\n", verb="start")
        assert config.template_store == Path("/srv/store")

    def test_obsolete_settings_are_named_as_such(self, tmp_path):
        notes = []
        _load(tmp_path, "[lago]\nssh_tries = 100\n", notes=notes)
        assert [note.warning for note in notes] == [False]
        assert "lago.conf:2: 'ssh_tries' has no effect: " in notes[0].message

    def test_lagos_own_variables_are_no_settings(self, tmp_path):
        notes = []
        env = {"LAGO_INITFILE_PATH": "/x", "LAGO_PREFIX_PATH": "/y"}
        assert _load(tmp_path, env=env, notes=notes) == Config()
        assert notes == []


class TestSections:
    def test_a_verbs_section_holds_for_that_verb(self, tmp_path):
        text = "[start]\nssh_timeout = 3\n[lago]\nssh_timeout = 30\n"
        assert _load(tmp_path, text, verb="start").ssh_timeout == 3
        assert _load(tmp_path, text, verb="stop").ssh_timeout == 30
        assert _load(tmp_path, text).ssh_timeout == 30

    def test_in_the_environment_too(self, tmp_path):
        env = {"LAGO__START__SSH_TIMEOUT": "3", "LAGO_SSH_TIMEOUT": "30"}
        assert _load(tmp_path, env=env, verb="start").ssh_timeout == 3
        assert _load(tmp_path, env=env).ssh_timeout == 30

    def test_the_first_double_underscore_ends_the_section(self, tmp_path):
        env = {"LAGO__SET_CURRENT__PREFIX_NAME": "x", "LAGO____NAME": "y", "LAGO__A": "z"}
        notes = []
        assert _load(tmp_path, env=env, verb="set_current", notes=notes).prefix_name == "x"
        assert notes == []

    def test_dashes_are_underscores(self, tmp_path):
        assert _load(tmp_path, "[lago]\nssh-user = ann\n").ssh_user == "ann"


class TestMistakes:
    def test_an_unknown_name_in_a_file_is_a_warning_with_a_suggestion(self, tmp_path):
        notes = []
        _load(tmp_path, "# c\n[lago]\n\nssh_usr = x\n", notes=notes)
        text = f"{tmp_path}/lago.conf:4: there is no setting 'ssh_usr'; did you mean 'ssh_user'?"
        assert notes == [Note(message=text, warning=True)]

    def test_a_variable_of_the_users_own_is_not_worth_a_word(self, tmp_path):
        notes = []
        _load(tmp_path, env={"LAGO_QWERTZ": "x", "OTHER": "y"}, notes=notes)
        assert notes == []

    def test_a_misspelt_variable_is(self, tmp_path):
        notes = []
        _load(tmp_path, env={"LAGO_ACELL": "tcg"}, notes=notes)
        assert "did you mean 'accel'?" in notes[0].message

    def test_an_empty_variable_has_no_effect_and_is_told(self, tmp_path):
        notes = []
        assert _load(tmp_path, env={"LAGO_HOST": ""}, notes=notes).host == "auto"
        assert notes == [
            Note(message="environment variable LAGO_HOST is empty and has no effect", warning=True)
        ]

    def test_a_name_without_value_in_a_file_counts_as_absent(self, tmp_path):
        notes = []
        assert _load(tmp_path, "[lago]\nhost\nssh_user =\n", notes=notes) == Config()
        assert notes == []

    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("checkpoint_max_age", "90", 90.0),
            ("checkpoint_max_age", "1.5h", 5400.0),
            ("checkpoint_max_age", "2w", 14 * 86400.0),
            ("checkpoint_max_size", "512", 512),
            ("checkpoint_max_size", "20G", 20 << 30),
            ("checkpoint_max_size", "1.5 MiB", 3 << 19),
        ],
    )
    def test_durations_and_sizes_have_units(self, tmp_path, name, text, value):
        assert getattr(_load(tmp_path, f"[lago]\n{name} = {text}\n"), name) == value

    @pytest.mark.parametrize(
        ("setting", "expected"),
        [
            ("accel = fast", "expected one of: auto, kvm, tcg"),
            ("ssh_timeout = soon", "expected a number of seconds"),
            ("checkpoint_max_age = 3y", "expected a duration such as 90m, 12h, 30d or 2w"),
            ("checkpoint_max_size = -1", "expected a size such as 500M, 20G or 1.5T"),
            ("ssh_timeout = 0", "expected a number of seconds above 0"),
            ("ssh_timeout = nan", "expected a number of seconds above 0"),
            ("logdepth = many", "expected a whole number"),
            ("parallel_starts = -1", "expected a whole number of 0 or more"),
            ("host = lab7", "expected auto, private, system or a libvirt URI"),
        ],
    )
    def test_a_bad_value_says_where_it_stood(self, tmp_path, setting, expected):
        with pytest.raises(ConfigError) as caught:
            _load(tmp_path, f"[lago]\n; remark\n{setting}\n")
        assert caught.value.message.startswith(f"{tmp_path}/lago.conf:3: ")
        assert caught.value.hint.startswith(expected)

    def test_a_bad_variable_says_its_name(self, tmp_path):
        with pytest.raises(ConfigError, match="environment variable LAGO_ACCEL: 'x' is no value"):
            _load(tmp_path, env={"LAGO_ACCEL": "x"})

    def test_a_bad_value_of_another_verb_is_an_error_too(self, tmp_path):
        with pytest.raises(ConfigError):
            _load(tmp_path, "[start]\naccel = x\n", verb="stop")

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("host = auto\n", 1),
            ("[lago]\nhost = auto\nhost = system\n", 3),
            ("[lago]\n[lago]\n", 2),
            ("[lago]\nhost = auto\n= x\n", 3),
        ],
    )
    def test_a_file_that_is_not_ini_says_the_line(self, tmp_path, text, line):
        with pytest.raises(ConfigError, match=rf"lago\.conf:{line}: "):
            _load(tmp_path, text)

    def test_a_file_that_is_not_text(self, tmp_path):
        path = tmp_path / "lago.conf"
        path.write_bytes(b"\xff\xfe")
        with pytest.raises(ConfigError, match=r"lago\.conf: the settings cannot be read"):
            Config.load(env={}, files=[path])

    def test_an_unknown_argument(self):
        with pytest.raises(ConfigError) as caught:
            Config.load({"acel": "tcg"}, env={}, files=[])
        assert caught.value.hint == "did you mean 'accel'?"

    def test_a_percent_sign_is_just_that(self, tmp_path):
        assert _load(tmp_path, "[lago]\nssh_password = 100%(x)s\n").ssh_password == "100%(x)s"


class TestGeneratedFile:
    def test_every_setting_is_there_with_its_meaning(self):
        text = Config().render_ini()
        for name, setting in list_settings().items():
            assert f"\n#{name} =" in text
            assert setting.doc.split(maxsplit=1)[0] in text

    def test_it_reads_back_as_the_same_settings(self, tmp_path):
        config = Config(host="system", ssh_timeout=2.5, accel=AccelChoice.TCG, out_format=None)
        assert _load(tmp_path, config.render_ini()) == config

    def test_uncommented_defaults_read_back_too(self, tmp_path):
        text = "".join(
            line.removeprefix("#") if line.startswith("#") and line[1] != " " else line
            for line in Config().render_ini().splitlines(keepends=True)
        )
        assert _load(tmp_path, text) == Config()
