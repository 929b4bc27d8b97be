using System.Globalization;
using System.Text;

namespace Comanche.System.Tests;

/// <summary>What a terminal shows of what was written to it: as much of a VT100 as the program uses. Any thread.</summary>
internal sealed class Screen(int columns, int rows)
{
    private readonly Lock _lock = new();
    private readonly List<StringBuilder> _lines = [new()];
    private readonly StringBuilder _sequence = new(); // An escape sequence that is not whole yet.
    private int _row;
    private int _column;

    /// <summary>The lines from the first on, also those that were scrolled out.</summary>
    public string[] Lines
    {
        get
        {
            lock (_lock) return [.. _lines.Select(l => l.ToString().TrimEnd())];
        }
    }

    /// <summary>Whether the cursor can be seen.</summary>
    public bool IsCursorVisible { get; private set; } = true;

    /// <summary>Whether the cursor stands at the start of an empty line, with nothing below it.</summary>
    public bool IsClean
    {
        get
        {
            lock (_lock) return _column == 0 && _lines[_row..].TrueForAll(l => l.ToString().Trim().Length == 0);
        }
    }

    /// <summary>How often a line ran over the last column.</summary>
    public int Wraps { get; private set; }

    /// <summary>Takes what is written.</summary>
    public void Write(string text)
    {
        lock (_lock)
            foreach (var c in text)
                Take(c);
    }

    private void Take(char c)
    {
        if (_sequence.Length != 0 || c == '\e')
        {
            _sequence.Append(c);
            if (_sequence.Length < 3 || !char.IsAsciiLetter(c)) return;
            Obey(_sequence.ToString(2, _sequence.Length - 3), c);
            _sequence.Clear();
            return;
        }

        switch (c)
        {
            case '\r':
                _column = 0;
                break;
            case '\n':
                Down();
                break;
            default:
                Put(c);
                break;
        }
    }

    private void Obey(string arguments, char command)
    {
        switch (command)
        {
            case 'A':
                // The cursor can't leave the screen: what was scrolled out is out of reach.
                _row = Math.Max(Math.Max(0, _lines.Count - rows), _row - int.Parse(arguments, CultureInfo.InvariantCulture));
                break;
            case 'K':
                _lines[_row].Length = Math.Min(_lines[_row].Length, _column);
                break;
            case 'J':
                _lines[_row].Length = Math.Min(_lines[_row].Length, _column);
                foreach (var line in _lines[(_row + 1)..]) line.Clear();
                break;
            case 'h' or 'l' when arguments == "?25":
                IsCursorVisible = command == 'h';
                break;
        }
    }

    private void Put(char c)
    {
        if (_column == columns)
        {
            Wraps++;
            _column = 0;
            Down();
        }

        var line = _lines[_row];
        while (line.Length <= _column) line.Append(' ');
        line[_column++] = c;
    }

    private void Down()
    {
        if (++_row == _lines.Count) _lines.Add(new StringBuilder());
    }
}
