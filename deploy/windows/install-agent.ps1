# An agent as a task of Windows that starts with the machine. NOT TESTED: no Windows was at hand, and Furrow's
# tests run on Linux alone. Windows tells the agent nothing of whether somebody uses the machine.
#
#   .\install-agent.ps1 -Package FILE.tgz -UrlFile url.txt [-Name NAME]    installs or upgrades, joins, starts
#   .\install-agent.ps1 -Remove [-Purge]                                   -Purge: its state, too
#
# Needed before: Node 20.19 or newer and ffmpeg, both on the machine's PATH. As administrator.
#
# The task runs as LOCAL SERVICE, which may read little and write its own folder. A task, not a service: Node is
# no Windows service, and a wrapper would be somebody else's program. What a stop costs: Windows ends a task's
# process at once, so that its units run again elsewhere; drain first, with `furrow agents policy NAME --mode never`.
[CmdletBinding(DefaultParameterSetName = 'Install')]
param(
    [Parameter(ParameterSetName = 'Install', Mandatory)] [string] $Package,
    # A file, because every user can read the command lines of processes.
    [Parameter(ParameterSetName = 'Install')] [string] $UrlFile,
    [Parameter(ParameterSetName = 'Install')] [string] $Name = $env:COMPUTERNAME,
    [Parameter(ParameterSetName = 'Remove', Mandatory)] [switch] $Remove,
    [Parameter(ParameterSetName = 'Remove')] [switch] $Purge
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$TaskName = 'Furrow agent'
$ProgramFolder = Join-Path $env:ProgramFiles 'Furrow'
$StateFolder = Join-Path $env:ProgramData 'Furrow'
$Main = Join-Path $ProgramFolder 'node_modules\furrow\dist\cli\main.js'
# LOCAL SERVICE, SYSTEM and Administrators, by what they are called in every language.
$LocalService = '*S-1-5-19'
$System = '*S-1-5-18'
$Administrators = '*S-1-5-32-544'

function Assert-Administrator {
    $identity = [Security.Principal.WindowsPrincipal] [Security.Principal.WindowsIdentity]::GetCurrent()
    if (-not $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        throw 'Run this as administrator.'
    }
}

function Invoke-Program([string] $Program, [string[]] $Arguments) {
    & $Program @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$Program ended with exit code $LASTEXITCODE." }
}

function Find-Node {
    $node = Get-Command node.exe -ErrorAction SilentlyContinue
    if ($null -eq $node) { throw 'Node 20.19 or newer is needed on PATH.' }
    if ([version] (& $node.Source -p 'process.versions.node') -lt [version] '20.19.0') {
        throw 'Node 20.19 or newer is needed; the one on PATH is older.'
    }
    return $node.Source
}

function Stop-Agent {
    $task = Get-ScheduledTask -TaskName $TaskName -ErrorAction SilentlyContinue
    if ($null -ne $task) { Stop-ScheduledTask -TaskName $TaskName }
}

function New-StateFolder {
    New-Item -ItemType Directory -Force -Path $StateFolder | Out-Null
    # Nothing is inherited: the folder holds the agent's identity.
    Invoke-Program 'icacls.exe' @($StateFolder, '/inheritance:r', '/grant:r',
        "${LocalService}:(OI)(CI)M", "${System}:(OI)(CI)F", "${Administrators}:(OI)(CI)F")
}

function Join-Farm([string] $Node) {
    # In the environment, which other users cannot read, unlike the command line.
    $env:FURROW_JOIN_URL = (Get-Content -LiteralPath $UrlFile -TotalCount 1).Trim()
    $env:FURROW_JOIN_NAME = $Name
    $env:FURROW_JOIN_MAIN = ([uri] $Main).AbsoluteUri
    $env:FURROW_HOME = $StateFolder
    $script = 'const { FURROW_JOIN_URL: url, FURROW_JOIN_NAME: name, FURROW_JOIN_MAIN: main } = process.env;' +
        'delete process.env.FURROW_JOIN_URL;' +
        'process.argv = [process.execPath, main, `join`, url, `--name`, name];' +
        'await import(main);'
    try { Invoke-Program $Node @('--input-type=module', '-e', $script) }
    finally { Remove-Item Env:FURROW_JOIN_URL }
}

function Register-Agent([string] $Node) {
    # A task has no environment of its own: a small file sets it.
    $start = Join-Path $ProgramFolder 'agent.cmd'
    Set-Content -LiteralPath $start -Encoding Ascii -Value @(
        '@echo off'
        "set ""FURROW_HOME=$StateFolder"""
        "set ""FURROW_AGENT_NAME=$Name"""
        "cd /d ""$StateFolder"""
        """$Node"" ""$Main"" agent >>""$StateFolder\agent.log"" 2>&1"
    )
    $action = New-ScheduledTaskAction -Execute 'cmd.exe' -Argument "/d /c """"$start"""""
    $trigger = New-ScheduledTaskTrigger -AtStartup
    $principal = New-ScheduledTaskPrincipal -UserId 'NT AUTHORITY\LOCAL SERVICE' -LogonType ServiceAccount
    $settings = New-ScheduledTaskSettingsSet -ExecutionTimeLimit ([TimeSpan]::Zero) -Priority 7 `
        -RestartCount 30 -RestartInterval (New-TimeSpan -Minutes 1) `
        -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -MultipleInstances IgnoreNew
    Register-ScheduledTask -TaskName $TaskName -Action $action -Trigger $trigger -Principal $principal `
        -Settings $settings -Force | Out-Null
    Start-ScheduledTask -TaskName $TaskName
}

Assert-Administrator
if ($Remove) {
    Stop-Agent
    Unregister-ScheduledTask -TaskName $TaskName -Confirm:$false -ErrorAction SilentlyContinue
    if (Test-Path $ProgramFolder) { Remove-Item -Recurse -Force $ProgramFolder }
    if ($Purge -and (Test-Path $StateFolder)) { Remove-Item -Recurse -Force $StateFolder }
    return
}
$node = Find-Node
if ($null -eq (Get-Command ffmpeg.exe -ErrorAction SilentlyContinue)) { throw 'ffmpeg is needed on PATH.' }
$package = (Resolve-Path -LiteralPath $Package).Path
Stop-Agent
New-Item -ItemType Directory -Force -Path $ProgramFolder | Out-Null
Invoke-Program 'npm.cmd' @('install', '--prefix', $ProgramFolder, '--ignore-scripts', '--no-audit', '--no-fund', $package)
New-StateFolder
if ($UrlFile) { Join-Farm $node }
Register-Agent $node
